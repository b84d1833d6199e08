// A draft: choosing lines counts on the button; choosing an audience looks again.

"use strict";

(() => {
const lines = [...document.querySelectorAll("[name=line]")];
const all = document.getElementById("all");
const go = document.getElementById("send");
const audience = document.getElementById("audience");
const QUIET_MS = 600;
// What a look would lose: which lines were not ticked, and where the keys were.
const LOOKED = "exchange-looked";
let asked = 0;

const count = () => {
  const chosen = lines.filter((one) => one.checked);
  const waits = chosen.some((one) => one.dataset.waits);
  if (go) {
    go.disabled = !chosen.length || asked > 0;
    go.querySelector("span").textContent = interpolate(waits ? gettext("Ask a second person for %(count)s") : gettext("Publish %(count)s"), { count: chosen.length.toLocaleString("en") }, true);
  }
  if (all) {
    all.checked = chosen.length === lines.length && lines.length > 0;
    all.indeterminate = chosen.length > 0 && chosen.length < lines.length;
  }
};
if (all) {
  all.closest("th").hidden = false;
  all.addEventListener("change", () => { for (const one of lines) one.checked = all.checked; count(); });
}
for (const one of lines) one.addEventListener("change", count);
if (audience) {
  audience.addEventListener("submit", () => {
    const { name, value } = document.activeElement;
    const off = lines.filter((one) => !one.checked).map((one) => one.value);
    sessionStorage.setItem(LOOKED, JSON.stringify({ at: location.pathname, off, name, value }));
  });
  const looked = JSON.parse(sessionStorage.getItem(LOOKED) ?? "{}");
  sessionStorage.removeItem(LOOKED);
  if (looked.at === location.pathname) {
    for (const one of lines) if (looked.off.includes(one.value)) one.checked = false;
    [...audience.elements].find((one) => one.name === looked.name && one.value === looked.value)?.focus();
  }
}
// Several ticks are one look; until it is there nothing goes, for what would go has the audience of before.
for (const one of document.querySelectorAll("#audience input")) {
  one.addEventListener("change", () => {
    clearTimeout(asked);
    asked = setTimeout(() => one.form.requestSubmit(), QUIET_MS);
    count();
  });
}
// Back from the next page: what is ticked may be newer than what was looked at.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
count();

const stayed = sessionStorage.getItem("exchange-refused");
if (stayed) {
  const note = document.getElementById("stayed");
  note.textContent = stayed;
  note.hidden = false;
  sessionStorage.removeItem("exchange-refused");
}
})();
