// A draft: choosing lines counts on the button; choosing an audience looks again.

"use strict";

(() => {
const lines = [...document.querySelectorAll("[name=line]")];
const all = document.getElementById("all");
const go = document.getElementById("send");
const audience = document.getElementById("audience");
const QUIET_MS = 600;
// What a look would lose: which lines are ticked, and where the keys were.
const LOOKED = "exchange-looked";
const tabs = [...document.querySelectorAll(".states [data-show]")];
// Ticked at first: what is there already is not, and no press of "all" means it.
const usual = lines.filter((one) => one.defaultChecked);
let asked = 0;

const count = () => {
  const chosen = lines.filter((one) => one.checked);
  const waits = chosen.some((one) => one.dataset.waits);
  if (go) {
    go.disabled = !chosen.length || asked > 0;
    go.querySelector("span").textContent = interpolate(waits ? gettext("Ask a second person for %(count)s") : gettext("Publish %(count)s"), { count: chosen.length.toLocaleString("en") }, true);
  }
  if (all) {
    all.checked = usual.length > 0 && usual.every((one) => one.checked);
    all.indeterminate = chosen.length > 0 && !all.checked;
  }
};
if (all) {
  all.closest("th").hidden = false;
  all.addEventListener("change", () => {
    for (const one of lines) one.checked = all.checked && usual.includes(one);
    count();
  });
}
for (const one of lines) one.addEventListener("change", count);
if (audience) {
  audience.addEventListener("submit", () => {
    const { name, value } = document.activeElement;
    const turned = lines.filter((one) => one.checked !== one.defaultChecked).map((one) => [one.value, one.checked]);
    sessionStorage.setItem(LOOKED, JSON.stringify({ at: location.pathname, turned, name, value }));
  });
  const looked = JSON.parse(sessionStorage.getItem(LOOKED) ?? "{}");
  sessionStorage.removeItem(LOOKED);
  if (looked.at === location.pathname) {
    const turned = new Map(looked.turned);
    for (const one of lines) if (turned.has(one.value)) one.checked = turned.get(one.value);
    [...audience.elements].find((one) => one.name === looked.name && one.value === looked.value)?.focus();
  }
}
// Several ticks are one look; until it is there nothing goes, for what would go has the audience of before.
for (const one of document.querySelectorAll("#audience input:not([type=hidden])")) {
  one.addEventListener("change", () => {
    clearTimeout(asked);
    asked = setTimeout(() => one.form.requestSubmit(), QUIET_MS);
    count();
  });
}
// A tab hides rows and loads nothing: what is ticked in others stays, and goes.
for (const tab of tabs) {
  tab.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const row of document.querySelectorAll("[data-state]")) row.hidden = Boolean(tab.dataset.show) && row.dataset.state !== tab.dataset.show;
    for (const one of tabs) one.removeAttribute("aria-current");
    tab.setAttribute("aria-current", "true");
    Object.assign(audience.elements.show, { value: tab.dataset.show, disabled: !tab.dataset.show });
    history.replaceState(null, "", tab.href);
  });
}
// Back from the next page: what is ticked may be newer than what was looked at.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
count();
})();
