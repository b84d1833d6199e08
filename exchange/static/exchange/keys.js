// Keys: / finds, g and a letter goes, j k move, x chooses, a goes to the acts, Enter opens, ? shows all. None works while somebody
// types, and no single letter, digit or sign for whoever turned them off (WCAG 2.1.4).

const typing = (target) => target.closest("input:not([type='checkbox'], [type='radio']), textarea, select, [contenteditable]");
const rows = () => [...document.querySelectorAll("[data-list] [data-open]")].filter((row) => row.offsetParent);
let going = 0;

const move = (step) => {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.classList.contains("cursor"));
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  for (const row of all) row.classList.toggle("cursor", row === next);
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a, button")?.focus({ preventScroll: true });
};

const chosen = () => document.querySelector("[data-list] .cursor");

const press = {
  "/": () => document.querySelector("[data-key='/']")?.focus(),
  "?": () => document.getElementById("keys")?.togglePopover(),
  j: () => move(1),
  k: () => move(-1),
  x: () => chosen()?.querySelector("input[type='checkbox']")?.click(),
  a: () => document.querySelector("#acts .acts-right button:not([disabled])")?.focus(),
  g: () => { going = Date.now(); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key.length === 1 && document.body.dataset.keys === "off") return;
  if (Date.now() - going < 1500) {
    going = 0;
    const place = document.querySelector(`[data-go="${CSS.escape(event.key.toLowerCase())}"]`);
    if (place) { event.preventDefault(); place.click(); }
    return;
  }
  const named = document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not([disabled])`);
  if (press[event.key]) {
    event.preventDefault();
    press[event.key]();
  } else if (event.key === "Enter" && chosen() && event.target.closest("[data-list], body") && !event.target.closest("a, button, summary")) {
    location.assign(chosen().dataset.open);
  } else if (named && named.offsetParent) {
    event.preventDefault();
    // What says something in the partner's name is only gone to: Enter says it.
    if (named.matches("input:not([type='checkbox'])") || (named.form && named.type === "submit")) named.focus();
    else named.click();
  }
});

// A row opens where it is pressed; what lies in it keeps its own act.
document.addEventListener("click", (event) => {
  const row = event.target.closest("[data-open]");
  if (!row || event.target.closest("a, button, input, label, summary") || getSelection().toString()) return;
  if (event.metaKey || event.ctrlKey) window.open(row.dataset.open);
  else location.assign(row.dataset.open);
});

// What hangs from a button closes with Escape, and when something else is pressed.
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.pop[open]")) if (!open.contains(event.target)) open.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.pop[open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// The palette: arrows walk from the field through what was found, Escape leaves it.
document.addEventListener("keydown", (event) => {
  const find = event.target.closest(".find");
  if (!find || !["ArrowDown", "ArrowUp", "Escape"].includes(event.key)) return;
  const all = [find.querySelector("[name=search]"), ...find.querySelectorAll("[data-found] a")];
  const at = all.indexOf(document.activeElement);
  if (event.key === "Escape") find.querySelector("[data-found]").replaceChildren();
  else all[(at + (event.key === "ArrowDown" ? 1 : -1) + all.length) % all.length].focus();
  event.preventDefault();
});
document.addEventListener("focusout", (event) => {
  const find = event.target.closest(".find");
  if (find) setTimeout(() => { if (!find.contains(document.activeElement)) find.querySelector("[data-found]").replaceChildren(); }, 200);
});
