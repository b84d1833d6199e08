// Publish: a list, CSV, STIX, MISP or NOVA becomes lines here; what is personal becomes tokens here; then a draft is made.

"use strict";

(() => {
const form = document.getElementById("prepare");
const box = document.getElementById("lines");
const pick = document.getElementById("subkind");
const MOST = 1000;
// What the schemas let an object say, as the form has it: columns of a CSV have the same names.
const SAYS = ["confidence", ...[...form.querySelectorAll("[data-says]")].map((one) => one.name)];
// Attributes of MISP, by what they are here; others are left out and counted.
const MISP = {
  "ip-src": "net", "ip-dst": "net", domain: "host", hostname: "host", "email-src": "email", "email-dst": "email", email: "email",
  "phone-number": "phone", iban: "iban_token", btc: "crypto_addr", xmr: "crypto_addr", "ja4": "client_fp", "AS": "net",
};
const subkinds = (carries) => [...pick.options].filter((one) => one.dataset.carries === carries);
const PERSONAL = Object.fromEntries(subkinds("tokens").map((one) => [one.value, one.parentElement.label]));
const WHOLE = [...subkinds("signature"), ...subkinds("rule")].map((one) => one.value);
const grouped = (number) => number.toLocaleString("en");
const say = (words) => { document.getElementById("progress").textContent = words; };
const fail = (words) => {
  const note = document.getElementById("trouble");
  note.textContent = words;
  note.hidden = !words;
};

// CSV of RFC 4180, comma or semicolon.
const csv = (text) => {
  const mark = (text.split("\n", 1)[0].match(/;/g) || []).length > (text.split("\n", 1)[0].match(/,/g) || []).length ? ";" : ",";
  const rows = [[""]];
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const one = text[at];
    const row = rows.at(-1);
    if (quoted) {
      if (one === '"' && text[at + 1] === '"') { row[row.length - 1] += '"'; at += 1; } else if (one === '"') quoted = false; else row[row.length - 1] += one;
    } else if (one === '"' && row.at(-1) === "") quoted = true;
    else if (one === mark) row.push("");
    else if (one === "\n") rows.push([""]);
    else if (one !== "\r") row[row.length - 1] += one;
  }
  return rows.filter((row) => row.some((cell) => cell.trim()));
};

const fromValue = (n, text, wanted, says) => {
  if (!text.trim()) return null;
  if (WHOLE.includes(wanted)) return { n, subkind: wanted, value: text, says };
  if (reading.looksLikeCard(text) && !/^[0-9a-f]{64}$/i.test(text.trim()) && wanted !== "iban_token") return { n, refused: gettext("it looks like a card number: make it a token inside your card environment"), says };
  if (PERSONAL[wanted]) return { n, subkind: wanted, raw: text, kind: PERSONAL[wanted], says };
  const read = reading.line(text);
  if (!read) return null;
  if (read.invalid || ["id", "hash", "token"].includes(read.subkind)) return { n, refused: read.invalid || gettext("a value, not an id, hash or token, is published from here"), says };
  if (read.raw !== undefined) return { n, subkind: read.subkind, raw: read.raw, kind: read.kind, says };
  const subkind = read.subkind === "host" ? (wanted === "email_domain" ? "email_domain" : "gateway_host") : read.subkind;
  return { n, subkind, value: read.clear, says };
};

const fromCsv = (text) => {
  const [head, ...rows] = csv(text);
  const names = head.map((one) => one.trim().toLowerCase().replace(/[ -]/g, "_"));
  const known = [...pick.options].map((one) => one.value).filter(Boolean);
  const columns = names.map((name, at) => ({ at, subkind: { mail: "email", e_mail: "email", ip: "net", address: "net", network: "net", host: "gateway_host", domain: "email_domain", iban: "iban_token", card: "card", pan: "card", prompt: "skeleton" }[name] || (known.includes(name) ? name : "") }))
    .filter((one) => one.subkind);
  if (!columns.length) {
    if (head.length > 1) throw new Error(interpolate(gettext("No column has a name that says what it holds: %(names)s …"), { names: known.slice(0, 6).join(", ") }, true));
    return [head, ...rows].map((row, at) => fromValue(at + 1, row[0], pick.value, {})).filter(Boolean);
  }
  const found = [];
  rows.forEach((row) => {
    const says = Object.fromEntries(names.map((name, at) => [name, row[at]?.trim()]).filter(([name, value]) => SAYS.includes(name) && value));
    for (const column of columns) {
      const value = row[column.at] ?? "";
      if (!value.trim()) continue;
      const n = found.length + 1;
      found.push(column.subkind === "card" ? { n, refused: gettext("card numbers stay inside your card environment"), says } : fromValue(n, value, column.subkind, says));
    }
  });
  return found.filter(Boolean);
};

// STIX goes as it is, unless it says what never leaves: then the line is refused here.
const fromStix = (objects) => objects.filter((one) => one && one.type !== "bundle").map((object, at) => {
  const text = JSON.stringify(object);
  if (/email-addr:value|[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}/i.test(text) || reading.looksLikeCard(text.replace(/[0-9a-f]{32,}|[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[\d:.]+Z/gi, " "))) {
    return { n: at + 1, refused: gettext("it holds an e-mail address or what looks like a card number, which never leaves as it is") };
  }
  return { n: at + 1, object };
});

const fromMisp = (event) => {
  const attributes = [...(event.Attribute || []), ...(event.Object || []).flatMap((one) => one.Attribute || [])];
  let left = 0;
  const found = [];
  for (const one of attributes) {
    const wanted = MISP[one.type];
    if (!wanted || typeof one.value !== "string") { left += 1; continue; }
    found.push(fromValue(found.length + 1, one.type === "AS" ? `AS${one.value.replace(/^AS/i, "")}` : one.value, wanted, {}));
  }
  if (left) say(interpolate(ngettext("%(count)s attribute of another type stays out.", "%(count)s attributes of other types stay out.", left), { count: grouped(left) }, true));
  return found.filter(Boolean);
};

const read = (text) => {
  const plain = text.trim();
  if (/^[[{]/.test(plain)) {
    let document_;
    try {
      document_ = JSON.parse(plain);
    } catch {
      const lines = plain.split("\n").filter((one) => one.trim());
      try {
        return fromStix(lines.map((one) => JSON.parse(one)));
      } catch {
        throw new Error(gettext("It begins like JSON, and is none."));
      }
    }
    const event = document_.Event || document_.response?.[0]?.Event;
    if (event) return fromMisp(event);
    return fromStix(Array.isArray(document_) ? document_ : document_.objects || [document_]);
  }
  if (/^\s*rule\s+\w+\s*\{/m.test(plain) && /keywords:|semantics:|llm:|condition:/.test(plain)) {
    return plain.split(/(?=^\s*rule\s+\w+\s*\{)/m).filter((one) => one.trim()).map((value, at) => ({ n: at + 1, subkind: "nova_rule", value: value.trim() }));
  }
  const lines = plain.split(/\r\n|[\n\r]/);
  if (pick.selectedOptions[0].dataset.carries === "signature") return [fromValue(1, plain, pick.value, {})];
  if (pick.selectedOptions[0].dataset.carries === "rule") return lines.map((line, at) => fromValue(at + 1, line, pick.value, {})).filter(Boolean);
  if (lines.length > 1 && /[,;]/.test(lines[0]) && (lines[1].match(/[,;]/g) || []).length) return fromCsv(plain);
  return lines.map((line, at) => fromValue(at + 1, line, pick.value, {})).filter(Boolean);
};

const tokenise = async (rows) => {
  const personal = rows.filter((one) => one.raw !== undefined);
  if (!personal.length) return 0;
  const found = await tokens.forms(personal.map((one) => [one.subkind, one.raw]));
  const bySubkind = new Map();
  personal.forEach((one, at) => {
    delete one.raw;
    if (!found[at]) one.refused = gettext("not of its kind; it stays here");
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
  return personal.filter((one) => one.tokens).length;
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fail("");
  const go = document.getElementById("go");
  go.setAttribute("aria-busy", "true");
  try {
    const rows = read(box.value);
    if (!rows.length) throw new Error(gettext("There is no line to read."));
    if (rows.length > MOST) throw new Error(interpolate(gettext("%(count)s lines are more than %(most)s in one draft."), { count: grouped(rows.length), most: grouped(MOST) }, true));
    await tokenise(rows);
    const kept = rows.filter((one) => !one.refused);
    const refused = rows.length - kept.length;
    if (!kept.length) throw new Error(interpolate(gettext("Nothing may leave: line %(n)s: %(why)s."), { n: rows[0].n, why: rows[0].refused }, true));
    const says = Object.fromEntries([...new FormData(form)].filter(([name, value]) => SAYS.includes(name) && value));
    const sent = kept.map(({ n, subkind, value, tokens: made, object, says: own }) => (object ? { n, object } : { n, subkind, value, tokens: made?.map(({ scheme, key_epoch, value: each }) => ({ scheme, key_epoch, value: each })), says: own }));
    say(gettext("The door looks at each line"));
    const { address } = await tokens.post(form.dataset.drafts, { name: form.elements.name.value || gettext("A draft"), tlp: form.elements.tlp.value, says, rows: sent });
    if (refused) sessionStorage.setItem("exchange-refused", interpolate(ngettext("%(count)s line stayed in your browser: %(why)s.", "%(count)s lines stayed in your browser: %(why)s.", refused), { count: grouped(refused), why: rows.find((one) => one.refused).refused }, true));
    window.location.assign(address);
  } catch (error) {
    fail(interpolate(gettext("%(why)s Nothing was published."), { why: error.message }, true));
    say("");
    go.removeAttribute("aria-busy");
  }
});

// The form follows the subkind: what it has no word for is out of the way, what it must say is asked for.
const follow = () => {
  const chosen = pick.value;
  const some = document.getElementById("of-kind");
  let shown = 0;
  for (const field of some.querySelectorAll("[data-of]")) {
    field.hidden = Boolean(chosen) && !field.dataset.of.split(" ").includes(chosen);
    field.querySelector("[data-says]").disabled = field.hidden;
    if (!field.hidden) shown += 1;
  }
  for (const field of form.querySelectorAll("[data-required]")) field.required = field.dataset.required.split(" ").includes(chosen);
  some.hidden = !shown;
  some.open = Boolean(chosen);
  for (const hint of form.querySelectorAll("[data-hint]")) hint.hidden = hint.dataset.hint !== chosen;
};
pick.addEventListener("change", follow);
follow();

const take = async (file) => {
  if (file.size > 8_000_000) return fail(gettext("The file is larger than 8 MB. Nothing was read."));
  box.value = await file.text();
  if (!form.elements.name.value) form.elements.name.value = file.name.slice(0, 100);
  count();
};
const count = () => {
  const lines = box.value.split(/\r\n|[\n\r]/).filter((one) => one.trim()).length;
  document.getElementById("counted").textContent = interpolate(ngettext("%(count)s line", "%(count)s lines", lines), { count: grouped(lines) }, true);
};
box.addEventListener("input", count);
box.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
document.getElementById("file").addEventListener("change", ({ target }) => { if (target.files[0]) take(target.files[0]); });
form.addEventListener("dragover", (event) => event.preventDefault());
form.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});
// Without them no line can be read, and no token made: `site.js` says that a part did not arrive.
document.getElementById("go").disabled = typeof tokens === "undefined" || typeof reading === "undefined";
})();
