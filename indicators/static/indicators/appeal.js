// An appeal: the value is read and becomes tokens here, and only the tokens are sent.

"use strict";

(() => {
const form = document.getElementById("appeal");
if (!form) return;
const box = document.getElementById("value");
const go = document.getElementById("go");
const say = (words) => { document.getElementById("progress").textContent = words; };
const fail = (words) => {
  const note = document.getElementById("trouble");
  note.textContent = words;
  note.hidden = !words;
};
const MOST = 16;

// Fingerprints of a payment provider are compared within its scope alone.
const scope = document.getElementById("scope");
const scopeField = document.getElementById("scope-field");
const scoped = (read) => {
  scopeField.hidden = read?.subkind !== "psp_fp";
  if (scopeField.hidden) return {};
  const psp_scope = scope.value.trim().toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(psp_scope)) throw new Error(gettext("Say the payment provider's scope, too: 32 hexadecimal digits."));
  return { psp_scope };
};
box.addEventListener("input", () => { scopeField.hidden = reading.line(box.value)?.subkind !== "psp_fp"; });

const made = async () => {
  const read = reading.line(box.value);
  if (!read) throw new Error(gettext("Say who is blocked."));
  if (read.invalid) throw new Error(interpolate(gettext("It was not read: %(why)s."), { why: read.invalid }, true));
  if (read.raw === undefined) throw new Error(interpolate(gettext("This is read as %(how)s, which is compared in clear: dissent on the indicator itself."), { how: read.how }, true));
  const within = scoped(read);
  const [found] = await tokens.forms([[read.subkind, read.raw]]);
  if (!found) throw new Error(interpolate(gettext("Not of this kind: %(how)s."), { how: read.how }, true));
  say(gettext("Making tokens"));
  const byForm = await tokens.made(read.subkind, read.kind, found, { look: true });
  return [...byForm.values()].flat().slice(0, MOST).map(({ subkind, scheme, key_epoch, value }) => ({ subkind, scheme, key_epoch, value, ...within }));
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (go.hasAttribute("aria-busy")) return;
  fail("");
  go.setAttribute("aria-busy", "true");
  try {
    const sent = await made();
    if (!sent.length) throw new Error(gettext("No key makes tokens of this kind now."));
    const { address } = await tokens.post(form.dataset.file, { tokens: sent, reason: document.getElementById("reason").value, dissent: document.getElementById("dissent").checked });
    box.value = "";
    window.location.assign(address);
  } catch (error) {
    fail(interpolate(gettext("%(why)s Nothing was filed, and the value stays here."), { why: error.message }, true));
    say("");
    go.removeAttribute("aria-busy");
    box.focus();
  }
});
go.disabled = typeof tokens === "undefined" || typeof reading === "undefined";
})();
