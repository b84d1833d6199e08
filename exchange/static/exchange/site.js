// The little that HTML cannot do. Every page works without it.

// What is said of the connection has a place of its own: what a page says of one's own act stays until the next act.
const note = (id, words) => {
  const place = document.getElementById(id);
  if (!place) return;
  place.textContent = words;
  place.hidden = !words;
};
const trouble = (words) => note("stale", words);

// Copy to the clipboard.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  const source = document.getElementById(button.dataset.copy);
  let said = gettext("Copied");
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    said = gettext("Selected");
  }
  button.dataset.before ??= button.textContent;
  button.textContent = said;
  setTimeout(() => { button.textContent = button.dataset.before; }, 1500);
});

// A page that renews itself can be held still, and asks nothing while nobody looks.
const pause = () => document.querySelector("[data-pause]");

document.addEventListener("DOMContentLoaded", () => {
  if (pause()) pause().hidden = false;
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pause]");
  if (!button) return;
  const paused = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(paused));
  button.querySelector("[data-says]").textContent = paused ? gettext("Paused") : gettext("Live");
});

document.addEventListener("htmx:confirm", (event) => {
  if (!event.target.hasAttribute("data-live")) return;
  if (document.hidden || pause()?.getAttribute("aria-pressed") === "true") event.preventDefault();
});

// What was open stays open.
let opened = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  opened = [...event.target.querySelectorAll("details[open]")].map((one) => one.id);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
});

// What an answer comes to is read out from a place that stays: readers of screens miss one that came with the answer.
document.addEventListener("htmx:afterSettle", (event) => {
  const says = event.target.matches("[data-said]") ? event.target : event.target.querySelector("[data-said]");
  if (says) document.getElementById("said").textContent = says.textContent.replace(/\s+/g, " ").trim();
});

// Numbers go beside the places that this page has.
document.addEventListener("htmx:afterSwap", (event) => {
  for (const told of event.target.querySelectorAll("[data-for]")) document.getElementById(told.dataset.for)?.replaceChildren(...told.childNodes);
});

// Addresses hold only what was asked.
document.addEventListener("htmx:configRequest", (event) => {
  if (!event.target.hasAttribute("data-short")) return;
  const asked = event.detail.parameters;
  for (const name of Object.keys(asked)) if (asked[name] === "") delete asked[name];
});

// Failures are said, with how old the page is, and taken back when things work again. It is as new as what renews it.
let asOf = Date.now();
const age = () => {
  const told = { at: new Date(asOf).toISOString().slice(11, 16), minutes: Math.floor((Date.now() - asOf) / 60000) };
  const words = told.minutes ? gettext("As of %(at)s UTC, %(minutes)s min ago.") : gettext("As of %(at)s UTC.");
  return interpolate(words, told, true);
};
document.addEventListener("htmx:sendError", () => trouble(`${gettext("The exchange does not answer.")} ${age()}`));
document.addEventListener("htmx:responseError", (event) => {
  const id = event.detail.xhr.getResponseHeader("X-Request-ID");
  const said = { status: event.detail.xhr.status, id: id ?? gettext("unknown") };
  trouble(`${interpolate(gettext("That did not work (%(status)s). Request %(id)s."), said, true)} ${age()}`);
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.detail.successful) return;
  trouble("");
  if (event.target.hasAttribute("data-live") && !event.target.closest("#side")) asOf = Date.now();
});

// Who is signed out is led to sign in (a part of a page renews itself): not while something is written that is kept nowhere else.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (!event.detail.xhr.getResponseHeader("HX-Redirect")) return;
  if (![...document.querySelectorAll("[data-unsent]")].some((one) => one.value)) return;
  event.preventDefault();
  trouble(gettext("You were signed out. Sign in in another tab and go on here: what you wrote stays."));
});

// "3 min" grows old: said as the server says it (`brief`, `brief_hour` in house.py), which writes the day of what is older.
const ago = (moment) => {
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(moment)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : "";
};
const aboutAgo = (moment) => {
  const hours = Math.floor(Date.now() / 3600000) - Math.floor(Date.parse(moment) / 3600000);
  if (hours <= 0) return gettext("this hour");
  return hours < 24 ? `~ ${hours} h` : "";
};
setInterval(() => {
  if (document.hidden || pause()?.getAttribute("aria-pressed") === "true") return;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const words = time.dataset.ago === "hour" ? aboutAgo(time.dateTime) : ago(time.dateTime);
    if (words) time.textContent = words;
  }
}, 5000);

// A form that works by its page's script alone has a button that the script opens: until then Enter and a press do nothing,
// and where a part of the page did not arrive, that is said.
addEventListener("load", () => {
  if (document.querySelector("[data-opened-by-script]:disabled")) note("trouble", gettext("A part of this page did not arrive. Load it again."));
});
