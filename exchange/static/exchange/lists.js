// The list of indicators: completion of the filter, what is chosen, and rows that are new.

const grammar = () => JSON.parse(document.getElementById("fields")?.dataset.fields ?? "[]");
let fields = [];
let offered = [];
let at = -1;

const input = () => document.getElementById("filter");
const box = () => document.getElementById("completions");

// The word that the caret stands in: where it begins, and what is written of it.
const word = () => {
  const field = input();
  const before = field.value.slice(0, field.selectionStart);
  const begins = Math.max(before.lastIndexOf(" "), before.lastIndexOf("(")) + 1;
  return { begins, text: before.slice(begins).replace(/^-/, ""), negated: before[begins] === "-" };
};

const candidates = () => {
  const { text } = word();
  const [name, ...rest] = text.split(":");
  if (!rest.length) {
    return fields.filter((one) => one.name.startsWith(name.toLowerCase())).map((one) => ({ text: `${one.name}:`, says: one.values.length ? one.values.slice(0, 5).join(", ") : one.says }));
  }
  const field = fields.find((one) => one.name === name.toLowerCase());
  const values = rest.join(":").split(",");
  const last = values.at(-1).toLowerCase();
  const op = /^[<>]=?/.exec(last)?.[0] ?? "";
  const said = `${name}:${values.slice(0, -1).map((value) => `${value},`).join("")}`;
  const known = field?.values ?? [];
  return known.filter((value) => value.startsWith(last) || (op && field.compares && value.startsWith(last.slice(op.length))))
    .map((value) => ({ text: `${said}${value.startsWith(last) ? "" : op}${value}`, says: field.says }));
};

const close = () => {
  const list = box();
  if (!list) return;
  list.hidden = true;
  input().setAttribute("aria-expanded", "false");
  input().removeAttribute("aria-activedescendant");
  at = -1;
};

const offer = () => {
  if (!fields.length) fields = grammar();
  offered = candidates().slice(0, 8);
  const list = box();
  if (!offered.length || (offered.length === 1 && offered[0].text === word().text)) return close();
  list.replaceChildren(...offered.map((one, place) => {
    const item = document.createElement("li");
    item.id = `completion-${place}`;
    item.setAttribute("role", "option");
    item.dataset.place = String(place);
    const code = document.createElement("code");
    code.textContent = one.text;
    const says = document.createElement("span");
    says.textContent = one.says;
    item.append(code, says);
    return item;
  }));
  list.hidden = false;
  input().setAttribute("aria-expanded", "true");
  mark(-1);
};

const mark = (place) => {
  at = place;
  for (const [key, item] of [...box().children].entries()) item.setAttribute("aria-selected", String(key === place));
  if (place >= 0) input().setAttribute("aria-activedescendant", `completion-${place}`);
};

const accept = (place) => {
  const field = input();
  const { begins, negated } = word();
  const chosen = offered[place].text + (offered[place].text.endsWith(":") ? "" : " ");
  const whole = `${negated ? "-" : ""}${chosen}`;
  const rest = field.value.slice(field.selectionStart).trimStart();
  field.value = field.value.slice(0, begins) + whole + rest;
  field.setSelectionRange(begins + whole.length, begins + whole.length);
  close();
  if (chosen.endsWith(":")) offer();
};

document.addEventListener("input", (event) => { if (event.target.id === "filter") offer(); });
document.addEventListener("focusout", (event) => { if (event.target.id === "filter") setTimeout(close, 150); });
document.addEventListener("mousedown", (event) => {
  const item = event.target.closest("#completions [data-place]");
  if (!item) return;
  event.preventDefault();
  accept(Number(item.dataset.place));
});
document.addEventListener("keydown", (event) => {
  if (event.target.id !== "filter" || box().hidden) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    mark((at + (event.key === "ArrowDown" ? 1 : -1) + offered.length) % offered.length);
  } else if ((event.key === "Tab" || event.key === "Enter") && at >= 0) {
    event.preventDefault();
    accept(at);
  } else if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    close();
  }
}, true);

// An error stands at its character.
const point = () => {
  const field = input();
  if (!field?.dataset.character || document.activeElement !== field) return;
  const character = Number(field.dataset.character);
  const end = field.value.slice(character).search(/[\s:(]|$/);
  field.setSelectionRange(character, character + Math.max(1, end));
};
document.addEventListener("htmx:afterSettle", point);
document.addEventListener("DOMContentLoaded", () => { if (input()?.dataset.character) { input().focus(); point(); } });

// How many each view holds is counted once for a page: a list that comes anew keeps what stood on its tabs.
let tallied = [];
const tallies = () => [...document.querySelectorAll("[data-tally]")];
document.addEventListener("htmx:beforeSwap", () => { tallied = tallies().map((one) => one.textContent); });
document.addEventListener("htmx:afterSwap", () => {
  for (const [place, one] of tallies().entries()) one.textContent ||= tallied[place] ?? "";
});

// "12 new" lists again, with the same question.
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-again]")) return;
  event.preventDefault();
  document.getElementById("news").replaceChildren();
  document.getElementById("ask")?.requestSubmit();
});

// What is chosen: counted beside the acts, apart from all that match. The server counts again, and freezes the scope.
const boxes = () => [...document.querySelectorAll("input[name='chosen']")];
let last = null; // the box that was pressed last: Shift chooses from there
let matching = ""; // how many match what is listed: while a filter is none, the list and its number stay
const selection = () => {
  const bar = document.querySelector("[data-selection]");
  if (!bar) return;
  const each = boxes();
  const picked = each.filter((box) => box.checked);
  const own = picked.filter((box) => box.hasAttribute("data-own")).length;
  const all = bar.elements.all.value === "yes";
  matching = document.querySelector(".how-many b")?.textContent ?? matching;
  for (const box of each) box.closest("tr").classList.toggle("chosen", box.checked);
  const page = document.querySelector("[data-page]");
  page.checked = picked.length === each.length;
  page.indeterminate = picked.length > 0 && picked.length < each.length;
  bar.classList.toggle("active", picked.length > 0);
  const says = (name, words) => { const place = bar.querySelector(name); if (place) place.textContent = words; };
  const shut = (name, closed) => { const act = bar.querySelector(name); if (act) act.disabled = closed; };
  says("[data-chosen]", all ? interpolate(gettext("All %(count)s that match are chosen"), { count: matching }, true) : picked.length ? interpolate(gettext("%(count)s chosen"), { count: picked.length }, true) : gettext("Choose lines to act on them"));
  bar.querySelector("[data-all]").hidden = !picked.length || all || matching === String(each.length);
  says("[data-all]", interpolate(gettext("Choose all %(count)s that match"), { count: matching }, true));
  bar.querySelector("[data-these]").hidden = all || page.checked;
  bar.querySelector("[data-none]").hidden = !picked.length;
  says("[data-count-others]", picked.length && !all ? ` ${picked.length - own}` : "");
  says("[data-count-own]", picked.length && !all ? ` ${own}` : "");
  says("[data-yours]", picked.length && !all ? interpolate(ngettext("%(own)s of %(count)s is yours", "%(own)s of %(count)s are yours", own), { own, count: picked.length }, true) : "");
  shut("[data-others]", !all && picked.length === own);
  shut("[data-own]", !all && !own);
};
const choose = (checked, all = "") => {
  for (const box of boxes()) box.checked = checked;
  document.querySelector("[data-selection]").elements.all.value = all;
  selection();
};
document.addEventListener("click", (event) => {
  const box = event.target.closest("input[name='chosen']");
  if (!box) return;
  const each = boxes();
  const from = each.indexOf(last);
  if (event.shiftKey && from >= 0) {
    const [low, high] = [from, each.indexOf(box)].sort((a, b) => a - b);
    for (const one of each.slice(low, high + 1)) one.checked = box.checked;
  }
  last = box;
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-page]")) return choose(event.target.checked);
  if (!event.target.matches("input[name='chosen']")) return;
  document.querySelector("[data-selection]").elements.all.value = "";
  selection();
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-these]")) choose(true);
  else if (event.target.closest("[data-all]")) choose(true, "yes");
  else if (event.target.closest("[data-none]")) choose(false);
});
document.addEventListener("DOMContentLoaded", selection);
document.addEventListener("htmx:afterSettle", selection);
