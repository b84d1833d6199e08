// Publish: lines of a text, or those that paste search hands over, become tokens where they are personal, then drafts.

"use strict";

(() => {
const form = document.getElementById("prepare");
const box = document.getElementById("lines");
const pick = document.getElementById("subkind");
const ONE_DRAFT = Number(form.dataset.most);
const MOST = 10_000;
const HANDED = "exchange-handed"; // by paste search, in this tab: {who, rows}
const MADE = "exchange-made";
// What the schemas let an object say, as the form has it: columns of a CSV have the same names.
const SAYS = ["confidence", ...[...form.querySelectorAll("[data-says]")].map((one) => one.name)];
const grouped = (number) => number.toLocaleString("en");
const say = (words) => { document.getElementById("progress").textContent = words; };
const note = (id, words) => {
  const place = document.getElementById(id);
  place.textContent = words;
  place.hidden = !words;
};
const fail = (words) => note("trouble", words);
const counted = (lines) => {
  const drafts = Math.ceil(lines / ONE_DRAFT);
  const words = interpolate(ngettext("%(count)s line", "%(count)s lines", lines), { count: grouped(lines) }, true);
  document.getElementById("counted").textContent = drafts > 1 ? interpolate(gettext("%(lines)s in %(drafts)s drafts"), { lines: words, drafts }, true) : words;
};

// What paste search found unknown: tokens, and values that travel in clear. Kept in this tab, for who searched alone.
const handed = (() => {
  const kept = JSON.parse(sessionStorage.getItem(HANDED) ?? "{}");
  if (kept.rows?.length && kept.who === document.querySelector(".who").textContent) return kept.rows;
  sessionStorage.removeItem(HANDED);
  return [];
})();
const handedLines = () => handed.map(({ line, subkind, value, tokens: made }) => ({
  line, value, says: {},
  subkind: subkind !== "host" ? subkind : pick.value === "email_domain" ? "email_domain" : "gateway_host",
  tokens: made?.map(([key_epoch, each]) => ({ scheme: "oprf-ristretto255-sha512", key_epoch, value: each })),
}));

const tokenise = async (rows) => {
  const personal = rows.filter((one) => one.raw !== undefined);
  if (!personal.length) return;
  const found = await tokens.forms(personal.map((one) => [one.subkind, one.raw]));
  const bySubkind = new Map();
  personal.forEach((one, at) => {
    delete one.raw;
    if (!found[at]) one.stayed = "kind";
    else {
      one.forms = found[at];
      const wanted = bySubkind.get(one.subkind) || { kind: one.kind, forms: [] };
      wanted.forms.push(...found[at]);
      bySubkind.set(one.subkind, wanted);
    }
  });
  let before = 0;
  for (const [subkind, { kind, forms }] of bySubkind) {
    const made = await tokens.made(subkind, kind, forms, { look: false, progress: (done) => say(interpolate(ngettext("%(count)s value became a token", "%(count)s values became tokens", before + done), { count: grouped(before + done) }, true)) });
    before += forms.length;
    for (const one of personal) if (one.forms && one.subkind === subkind) one.tokens = one.forms.flatMap((each) => made.get(each)).slice(0, 4);
  }
};

// What of a line leaves: of one that stays, its number and why.
const leaving = ({ line, subkind, value, tokens: made, object, says, stayed }, n) => {
  if (stayed) return { n, line, subkind, stayed };
  if (object) return { n, line, object };
  return { n, line, subkind, value, says, tokens: made?.map(({ scheme, key_epoch, value: each }) => ({ scheme, key_epoch, value: each })) };
};

const lines = async () => {
  const rows = handed.length ? handedLines() : files.read(box.value, pick.value, SAYS);
  if (!rows.length) throw new Error(gettext("There is no line to read."));
  if (rows.length > MOST) throw new Error(interpolate(gettext("%(count)s lines are more than %(most)s at once."), { count: grouped(rows.length), most: grouped(MOST) }, true));
  await tokenise(rows);
  if (rows.every((one) => one.stayed)) throw new Error(interpolate(gettext("Nothing may leave: line %(n)s: %(why)s."), { n: rows[0].line, why: files.WHY[rows[0].stayed] }, true));
  return rows.map((one, at) => leaving(one, at + 1));
};

// The drafts that are still to be made of what is in the form; after one that failed, the next press goes on with it.
let left = [];
let made = [];
const forget = () => { left = []; made = []; };
const drafts = async () => {
  const said = new FormData(form);
  const says = Object.fromEntries([...said].filter(([name, value]) => SAYS.includes(name) && value));
  const rows = await lines();
  const count = Math.ceil(rows.length / ONE_DRAFT);
  const whole = said.get("name") || (handed.length ? gettext("From a pasted list") : gettext("A draft"));
  return Array.from({ length: count }, (_, at) => ({
    name: count > 1 ? `${whole.slice(0, 100)}, ${at + 1}/${count}` : whole, tlp: said.get("tlp"), says,
    rows: rows.slice(at * ONE_DRAFT, (at + 1) * ONE_DRAFT),
  }));
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const go = document.getElementById("go");
  if (go.hasAttribute("aria-busy")) return;
  fail("");
  go.setAttribute("aria-busy", "true");
  try {
    if (!left.length) left = await drafts();
    const all = left.length + made.length;
    while (left.length) {
      say(all > 1 ? interpolate(gettext("The door looks at each line, draft %(at)s of %(all)s"), { at: made.length + 1, all }, true) : gettext("The door looks at each line"));
      made.push((await tokens.post(form.dataset.drafts, left[0])).address);
      left.shift();
    }
    sessionStorage.removeItem(HANDED);
    if (all > 1) sessionStorage.setItem(MADE, String(all));
    window.location.assign(all > 1 ? window.location.pathname : made[0]);
  } catch (error) {
    const so = made.length ? interpolate(gettext("%(made)s of %(all)s drafts were made; press again for the others."), { made: made.length, all: made.length + left.length }, true) : "";
    fail([error.message, so, gettext("Nothing was published.")].filter(Boolean).join(" "));
    say("");
    go.removeAttribute("aria-busy");
  }
});
form.addEventListener("input", forget);
// Back from the draft: the form is free again, and the next press makes another one.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  document.getElementById("go").removeAttribute("aria-busy");
  say("");
  forget();
});

// The form follows the subkind: what it has no word for is out of the way, what it must say is asked for.
const follow = () => {
  const chosen = handed.length ? [...new Set(handedLines().map((one) => one.subkind))] : [pick.value].filter(Boolean);
  const names = (words) => words.split(" ").some((one) => chosen.includes(one));
  const some = document.getElementById("of-kind");
  let shown = 0;
  for (const field of some.querySelectorAll("[data-of]")) {
    field.hidden = chosen.length > 0 && !names(field.dataset.of);
    field.querySelector("[data-says]").disabled = field.hidden;
    if (!field.hidden) shown += 1;
  }
  for (const field of form.querySelectorAll("[data-required]")) field.required = names(field.dataset.required);
  some.hidden = !shown;
  some.open = chosen.length > 0;
  for (const hint of form.querySelectorAll("[data-hint]")) hint.hidden = hint.dataset.hint !== pick.value;
};
pick.addEventListener("change", follow);
follow();

const take = async (file) => {
  if (handed.length) return fail(gettext("Publish the lines of your pasted list first, or leave them."));
  if (file.size > 8_000_000) return fail(gettext("The file is larger than 8 MB. Nothing was read."));
  box.value = await file.text();
  forget();
  if (!form.elements.name.value) form.elements.name.value = file.name.slice(0, 100);
  count();
};
const count = () => counted(handed.length || box.value.split(/\r\n|[\n\r]/).filter((one) => one.trim()).length);
box.addEventListener("input", count);
box.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
document.getElementById("file").addEventListener("change", ({ target }) => { if (target.files[0]) take(target.files[0]); });
form.addEventListener("dragover", (event) => event.preventDefault());
form.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});

// Lines that were handed over stand as how many there are of each; what each is, is known but for hosts.
if (handed.length) {
  const labels = Object.fromEntries([...pick.options].map((one) => [one.value, one.textContent]));
  const kinds = new Map();
  for (const { subkind } of handed) kinds.set(subkind, (kinds.get(subkind) ?? 0) + 1);
  document.getElementById("handed-kinds").textContent = [...kinds].map(([subkind, many]) => `${grouped(many)} ${labels[subkind] ?? gettext("host")}`).join(" · ");
  document.getElementById("handed").hidden = false;
  box.hidden = true;
  for (const one of [...pick.options]) if (one.value && !(one.value === "email_domain" && kinds.has("host"))) one.disabled = true;
  document.getElementById("leave").addEventListener("click", () => {
    sessionStorage.removeItem(HANDED);
    window.location.reload();
  });
  count();
}
const several = Number(sessionStorage.getItem(MADE));
if (several) {
  note("made", interpolate(gettext("%(count)s drafts were made. Open each to look at its lines and send it."), { count: grouped(several) }, true));
  sessionStorage.removeItem(MADE);
}
// Without them no line can be read, and no token made: `site.js` says that a part did not arrive.
document.getElementById("go").disabled = [typeof tokens, typeof reading, typeof files].includes("undefined");
})();
