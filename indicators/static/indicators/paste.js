// Paste search: reads the list here, makes tokens of what is personal, asks what is known, shows the answers.

"use strict";

(() => {
const form = document.getElementById("paste");
const box = document.getElementById("list");
const state = { lines: [], answers: [], show: "all", most: 200 };
const ORDER = ["known", "unknown", "benign", "invalid"];
const WORDS = { known: ["check", gettext("Known")], unknown: ["plus", gettext("Unknown")], benign: ["shield", gettext("Benign-listed")], invalid: ["cross", gettext("Not a value")] };
const sprite = document.getElementById("sprite").dataset.href;
const MOST = 10_000;

const make = (tag, properties = {}, ...children) => {
  const one = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) if (value !== undefined && value !== null) one.setAttribute(name, value);
  one.append(...children.filter((each) => each !== null && each !== undefined));
  return one;
};
const icon = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
};
const grouped = (number) => number.toLocaleString("en");
const say = (words) => { document.getElementById("progress").textContent = words; };
const fail = (words) => {
  const note = document.getElementById("trouble");
  note.textContent = words;
  note.hidden = !words;
};
const defanged = (value) => /^[0-9a-f]{64}$/.test(value) ? `${value.slice(0, 8)}…${value.slice(-4)}`
  : value.includes("--") ? value : value.replace(/\/32$/, "").replace(/\.(?=[^.]*$)/, "[.]").replace(/:(?=[^:]*:)/, "[:]");

const tokenise = async () => {
  const bySubkind = new Map();
  const personal = state.lines.filter((one) => one.raw !== undefined);
  if (!personal.length) return 0;
  if (!form.dataset.tokenise) {
    for (const one of personal) Object.assign(one, { invalid: gettext("to make a token of it takes the right `tokenise`; kept here"), raw: undefined });
    return 0;
  }
  const found = await tokens.forms(personal.map((one) => [one.subkind, one.raw]));
  personal.forEach((one, at) => {
    if (!found[at]) Object.assign(one, { invalid: interpolate(gettext("not of this kind: %(how)s; kept here"), { how: one.how }, true), raw: undefined });
    else {
      one.forms = found[at];
      if (one.subkind === "email" && found[at].length > 1) one.how += gettext(", also folded");
      const wanted = bySubkind.get(one.subkind) || { kind: one.kind, forms: [] };
      wanted.forms.push(...found[at]);
      bySubkind.set(one.subkind, wanted);
    }
  });
  let before = 0;
  for (const [subkind, wanted] of bySubkind) {
    const made = await tokens.made(subkind, wanted.kind, wanted.forms, { look: true, progress: (done) => say(interpolate(ngettext("%(count)s value became a token", "%(count)s values became tokens", before + done), { count: grouped(before + done) }, true)) });
    before += new Set(wanted.forms).size;
    for (const one of personal) if (one.forms && one.subkind === subkind) one.made = one.forms.flatMap((each) => made.get(each));
  }
  for (const one of personal) {
    if (one.made) one.tokens = one.made.map((each) => each.value).slice(0, 12);
    delete one.raw;
    delete one.forms;
  }
  return personal.filter((one) => one.made).length;
};

const ask = async () => {
  const wanted = state.lines.filter((one) => !one.invalid);
  for (let at = 0; at < wanted.length; at += 1000) {
    const part = wanted.slice(at, at + 1000);
    say(interpolate(gettext("Asking about %(some)s of %(all)s"), { some: grouped(Math.min(at + 1000, wanted.length)), all: grouped(wanted.length) }, true));
    const sent = part.map(({ n, subkind, tokens: made, clear }) => (clear ? { n, subkind, clear: clear.slice(0, 300) } : { n, subkind, tokens: made }));
    const { answers } = await tokens.post(form.dataset.ask, { lines: sent });
    for (const answer of answers) state.answers[answer.n] = answer;
  }
  for (const one of state.lines) if (one.invalid) state.answers[one.n] = { n: one.n, state: "invalid", value: "", why: one.invalid };
};

const KIND_ICONS = { "account-pattern": "person", "payment-fingerprint": "card", "prompt-signature": "speech" };
const rowOf = (one) => {
  const answer = state.answers[one.n];
  const [picture, word] = WORDS[answer.state];
  const kind = answer.kind || one.kind;
  const drawn = ["net", "host"].includes(one.subkind) ? "globe" : KIND_ICONS[kind] || "box";
  const value = answer.value ? make("code", { title: /[.:]/.test(answer.value) ? defanged(answer.value) : answer.value }, defanged(answer.value)) : null;
  const what = make("td", { class: "what" }, make("span", {},
    make("span", { class: `kind ${kind && KIND_ICONS[kind] ? kind : "other"}`, role: "img", "aria-label": (kind || "object").replace("-", " ") }, icon(drawn)),
    answer.id ? make("a", { href: `/indicators/${encodeURIComponent(answer.id)}` }, value || answer.title) : value || make("span", { class: "soft" }, one.shown.slice(0, 60)),
    make("span", { class: "sub" }, answer.inside ? interpolate(gettext("holds %(value)s"), { value: defanged(one.clear) }, true) : one.how || "")));
  const row = make("tr", {}, make("td", { class: "num" }, String(one.n)), make("td", {}, make("span", { class: `answer ${answer.state}` }, icon(picture), word)), what);
  if (answer.state !== "known") {
    row.append(make("td", { colspan: 4, class: "why" }, answer.why || ""));
    return row;
  }
  const labs = make("span", { class: "labs" }, ...(answer.sources || []).map(({ name, letter, shown: seen }) => make("abbr", { class: `lab ${seen}`, title: name }, letter)));
  const left = answer.left_days === null || answer.left_days === undefined ? gettext("no end") : answer.left_days >= 1 ? `${Math.floor(answer.left_days)} d` : `${Math.max(1, Math.round(answer.left_days * 24))} h`;
  row.append(make("td", {}, labs), make("td", {}, make("span", { class: `standing ${answer.standing || ""}` }, (answer.standing || "none").replace(/^./, (first) => first.toUpperCase()))),
    make("td", {}, (answer.action || "none").replace(/^./, (first) => first.toUpperCase())), make("td", { class: `num${answer.left_days < 7 ? " soon" : ""}` }, left));
  return row;
};

const unknown = () => state.lines.filter((one) => state.answers[one.n].state === "unknown" && !["id", "token", "hash"].includes(one.subkind));
const shown = () => state.lines
  .filter((one) => state.show === "all" || state.answers[one.n].state === state.show)
  .sort((one, other) => ORDER.indexOf(state.answers[one.n].state) - ORDER.indexOf(state.answers[other.n].state) || one.n - other.n);

const render = () => {
  const found = shown();
  document.querySelector("#answers tbody").replaceChildren(...found.slice(0, state.most).map(rowOf));
  const more = document.getElementById("more");
  more.hidden = found.length <= state.most;
  more.textContent = interpolate(gettext("Show %(some)s more of %(all)s"), { some: grouped(Math.min(1000, found.length - state.most)), all: grouped(found.length) }, true);
  for (const tab of document.querySelectorAll("[data-show]")) {
    const count = tab.dataset.show === "all" ? state.lines.length : state.lines.filter((one) => state.answers[one.n].state === tab.dataset.show).length;
    tab.querySelector("b").textContent = grouped(count);
    tab.setAttribute("aria-pressed", String(tab.dataset.show === state.show));
  }
};

const list = () => {
  document.getElementById("read").replaceChildren(...state.lines.map((one) => make("li", { class: state.answers[one.n].state }, make("span", { class: "n" }, String(one.n)), make("span", {}, one.shown))));
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fail("");
  const written = box.value.split(/\r\n|[\n\r]/);
  const lines = written.map((text, at) => ({ n: at + 1, text })).filter((one) => one.text.trim());
  if (!lines.length) return box.focus();
  if (lines.length > MOST) return fail(interpolate(gettext("%(count)s lines are more than %(most)s at once. Nothing was read."), { count: grouped(lines.length), most: grouped(MOST) }, true));
  const go = document.getElementById("go");
  go.setAttribute("aria-busy", "true");
  state.answers = [];
  state.lines = lines.map(({ n, text }) => {
    const read = reading.line(text);
    return { n, ...read, shown: reading.masked(read, text.trim()).slice(0, 80), ...(read.invalid ? { shown: reading.looksLikeCard(text) ? gettext("···· digits, refused") : text.trim().slice(0, 80) } : {}) };
  });
  try {
    const count = await tokenise();
    await ask();
    box.value = "";
    form.hidden = true;
    document.getElementById("result").hidden = false;
    document.getElementById("read-card").hidden = false;
    document.getElementById("tokenised").hidden = !count;
    document.getElementById("tokenised-count").textContent = interpolate(ngettext("%(count)s personal value became tokens here.", "%(count)s personal values became tokens here.", count), { count: grouped(count) }, true);
    const publish = document.getElementById("publish");
    if (publish) {
      publish.hidden = !unknown().length;
      publish.querySelector("span").textContent = interpolate(gettext("Publish the %(count)s unknown"), { count: grouped(unknown().length) }, true);
    }
    state.show = "all";
    state.most = 200;
    list();
    render();
    say(interpolate(ngettext("%(count)s line was read.", "%(count)s lines were read.", state.lines.length), { count: grouped(state.lines.length) }, true));
    document.getElementById("result-title").focus();
  } catch (error) {
    fail(interpolate(gettext("%(why)s Nothing was published, and no raw value was sent."), { why: error.message }, true));
    say("");
  } finally {
    go.removeAttribute("aria-busy");
  }
});

document.getElementById("again").addEventListener("click", () => {
  state.lines = [];
  state.answers = [];
  document.getElementById("result").hidden = true;
  document.getElementById("read-card").hidden = true;
  document.getElementById("read").replaceChildren();
  document.querySelector("#answers tbody").replaceChildren();
  form.hidden = false;
  say("");
  box.focus();
});
document.getElementById("more").addEventListener("click", () => { state.most += 1000; render(); });
for (const tab of document.querySelectorAll("[data-show]")) tab.addEventListener("click", () => { state.show = tab.dataset.show; state.most = 200; render(); });

const take = async (file) => {
  if (file.size > 4_000_000) return fail(gettext("The file is larger than 4 MB. Nothing was read."));
  box.value = await file.text();
  box.dispatchEvent(new Event("input"));
};
document.getElementById("file").addEventListener("change", ({ target }) => { if (target.files[0]) take(target.files[0]); });
form.addEventListener("dragover", (event) => event.preventDefault());
form.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});
box.addEventListener("input", () => {
  const count = box.value ? box.value.split(/\r\n|[\n\r]/).filter((one) => one.trim()).length : 0;
  document.getElementById("counted").textContent = interpolate(ngettext("%(count)s line", "%(count)s lines", count), { count: grouped(count) }, true);
});
box.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });

// A file of the answers: tokens and values in clear, never what was pasted.
const cell = (text) => {
  const written = String(text ?? "");
  return `"${(/^[=+\-@]/.test(written) ? `'${written}` : written).replaceAll('"', '""')}"`;
};
document.getElementById("export").addEventListener("click", () => {
  const head = [gettext("line"), gettext("answer"), gettext("read as"), gettext("value"), gettext("publishers"), gettext("standing"), gettext("publisher did"), gettext("until"), "id", gettext("why")];
  const rows = shown().map((one) => {
    const answer = state.answers[one.n];
    return [one.n, WORDS[answer.state][1], one.how, answer.value, (answer.sources || []).map(({ name }) => name).join("; "), answer.standing, answer.action, answer.until, answer.id, answer.why];
  });
  const text = [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n");
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "paste-search.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

// The unknown go to the form of publishing, which asks what has to be said of them: tokens, and values in clear.
document.getElementById("publish")?.addEventListener("click", () => {
  const rows = unknown().map((one) => ({ line: one.n, subkind: one.subkind, value: one.clear, tokens: one.made?.filter((each) => each.publishes).slice(0, 4).map((each) => [each.key_epoch, each.value]) }));
  try {
    sessionStorage.setItem("exchange-handed", JSON.stringify({ who: document.querySelector(".who").textContent, rows }));
    window.location.assign(form.dataset.publish);
  } catch {
    fail(gettext("These are more lines than the browser hands over. Search for fewer at once."));
  }
});
// Without them no line can be read, and no token made: `site.js` says that a part did not arrive.
document.getElementById("go").disabled = typeof tokens === "undefined" || typeof reading === "undefined";
})();
