// Try the API: a form for each operation of the OpenAPI document. The key is sent to this exchange alone, and kept nowhere.

"use strict";

(() => {
const place = document.getElementById("try");
const pick = document.getElementById("operation");
const key = document.getElementById("key");
const fields = document.getElementById("fields");
const body = document.getElementById("body");
const MOST_SHOWN = 200_000;
const WAIT_MS = 20_000;
const WRITES = ["post", "put", "patch", "delete"];
let known = {};
let operations = [];

const made = (tag, words, more = {}) => Object.assign(document.createElement(tag), words === undefined ? {} : { textContent: words }, more);
const now = () => operations[Number(pick.value)];
const follow = (schema) => (schema?.$ref ? known.schemas[schema.$ref.split("/").pop()] : schema) ?? {};

// What a body may hold, as an example: each property that must be there, of the others the names.
const example = (schema, deep = 0) => {
  const one = follow(schema);
  if (one.const !== undefined) return one.const;
  if (one.enum) return one.enum[0];
  if (one.default !== undefined) return one.default;
  const other = one.anyOf ?? one.oneOf;
  if (other) return example(other.find((each) => each.type !== "null") ?? other[0], deep);
  const type = Array.isArray(one.type) ? one.type[0] : one.type;
  if (type === "object" || one.properties) {
    if (deep > 4) return {};
    const must = one.required ?? [];
    return Object.fromEntries(Object.entries(one.properties ?? {}).filter(([name]) => must.includes(name)).map(([name, each]) => [name, example(each, deep + 1)]));
  }
  if (type === "array") return one.minItems && deep < 5 ? [example(one.items, deep + 1)] : [];
  if (type === "integer" || type === "number") return one.minimum ?? 0;
  if (type === "boolean") return false;
  return one.format === "date-time" ? "2026-11-24T11:00:00Z" : "";
};
const optional = (schema) => {
  const one = follow(schema);
  return Object.keys(one.properties ?? {}).filter((name) => !(one.required ?? []).includes(name));
};

const field = (one, number) => {
  const box = made("div", undefined, { className: "field" });
  const label = made("label", one.name, { htmlFor: `field-${number}` });
  if (one.required) label.append(" ", made("span", "needed", { className: "faint" }));
  const choices = follow(one.schema).enum;
  const input = choices ? made("select") : made("input", undefined, { autocomplete: "off", spellcheck: false });
  if (choices) for (const word of [...(one.required ? [] : [""]), ...choices]) input.append(made("option", String(word), { value: word }));
  Object.assign(input, { id: `field-${number}`, required: Boolean(one.required) });
  input.dataset.in = one.in;
  input.dataset.name = one.name;
  box.append(label, input);
  if (one.description) box.append(made("p", one.description, { className: "hint" }));
  return box;
};

const shown = () => {
  const { method, path, said } = now();
  document.getElementById("what").textContent = said.description ?? "";
  const parameters = (said.parameters ?? []).filter((one) => one.in !== "header" || one.required);
  const first = parameters.filter((one) => one.in === "path" || one.required || ["limit", "cursor", "filter", "q", "groups", "format"].includes(one.name));
  const rest = parameters.filter((one) => !first.includes(one));
  fields.replaceChildren(...first.map((one, at) => field(one, at)));
  if (rest.length) {
    const more = made("details");
    more.append(made("summary", `${rest.length} more`), ...rest.map((one, at) => field(one, first.length + at)));
    fields.append(more);
  }
  const content = said.requestBody?.content;
  const type = content && (content["application/json"] ? "application/json" : Object.keys(content)[0]);
  document.getElementById("body-field").hidden = !content;
  body.value = content ? JSON.stringify(example(content[type].schema), null, 2) : "";
  body.dataset.type = type ?? "";
  const names = content ? optional(content[type].schema) : [];
  document.getElementById("body-hint").textContent = names.length ? interpolate(gettext("It may hold, too: %(names)s."), { names: names.join(", ") }, true) : "";
  document.getElementById("send-words").textContent = `${method.toUpperCase()} ${path}`;
  document.getElementById("real").hidden = !WRITES.includes(method);
  document.getElementById("answer").hidden = true;
  location.hash = said.operationId;
};

const request = () => {
  const { method, path } = now();
  let address = path;
  const query = new URLSearchParams();
  for (const input of fields.querySelectorAll("[data-name]")) {
    if (!input.value) continue;
    if (input.dataset.in === "path") address = address.replace(`{${input.dataset.name}}`, encodeURIComponent(input.value));
    else if (input.dataset.in === "query") query.append(input.dataset.name, input.value);
  }
  return { method: method.toUpperCase(), address: query.size ? `${address}?${query}` : address, type: body.dataset.type, text: body.dataset.type ? body.value : "" };
};

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const curl = ({ method, address, type, text }) => [`curl ${method === "GET" ? "" : `-X ${method} `}"$EXCHANGE_URL"${quoted(address)} -H "Authorization: Bearer $EXCHANGE_API_KEY"`,
  ...(type ? [`-H 'Content-Type: ${type}' --data ${quoted(text)}`] : [])].join(" \\\n  ");

// An answer that has no end, as a stream, is shown as far as it came.
const read = async (answer, ends) => {
  const reader = answer.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
      text += decoder.decode(part.value, { stream: true });
      if (text.length > MOST_SHOWN) { ends.abort(); return `${text.slice(0, MOST_SHOWN)}\n${gettext("… and more")}`; }
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    text += `\n${interpolate(gettext("… after %(seconds)s s it was not at its end"), { seconds: WAIT_MS / 1000 }, true)}`;
  }
  return text;
};
const pretty = (text, type) => {
  if (!/json/.test(type) || /ndjson/.test(type)) return text;
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
};

place.addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = request();
  const ends = new AbortController();
  const clock = setTimeout(() => ends.abort(), WAIT_MS);
  const begun = performance.now();
  const says = document.getElementById("status");
  const whole = document.getElementById("answer");
  const send = document.getElementById("send");
  send.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(wanted.address, {
      method: wanted.method, credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer", signal: ends.signal,
      headers: { Authorization: `Bearer ${key.value.trim()}`, ...(wanted.type ? { "Content-Type": wanted.type } : {}) },
      ...(wanted.type ? { body: wanted.text } : {}),
    });
    const text = await read(answer, ends);
    says.textContent = interpolate(gettext("%(status)s, %(took)s ms, %(count)s characters"), { status: `${answer.status} ${answer.statusText}`, took: Math.round(performance.now() - begun).toLocaleString("en"), count: text.length.toLocaleString("en") }, true);
    says.className = answer.ok ? "badge good" : "badge bad";
    document.getElementById("headers").textContent = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    document.getElementById("answer-body").textContent = pretty(text, answer.headers.get("content-type") ?? "");
  } catch (error) {
    says.textContent = error.name === "AbortError" ? interpolate(gettext("No answer within %(seconds)s s"), { seconds: WAIT_MS / 1000 }, true) : gettext("No answer came");
    says.className = "badge bad";
    for (const id of ["headers", "answer-body"]) document.getElementById(id).textContent = "";
  }
  clearTimeout(clock);
  document.getElementById("curl").textContent = curl(wanted);
  send.removeAttribute("aria-busy");
  whole.hidden = false;
});
addEventListener("pagehide", () => { key.value = ""; });

const load = async () => {
  const answer = await fetch(place.dataset.schema, { credentials: "omit" });
  const document_ = await answer.json();
  known = document_.components;
  const groups = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, said] of Object.entries(methods)) {
      const tag = said.tags?.[0] ?? "";
      if (!groups.has(tag)) groups.set(tag, made("optgroup", undefined, { label: tag }));
      groups.get(tag).append(made("option", `${method.toUpperCase()} ${path.replace("/api/v1", "")}`, { value: String(operations.length) }));
      operations.push({ method, path, said });
    }
  }
  pick.replaceChildren(...groups.values());
  const asked = operations.findIndex((one) => one.said.operationId === (location.hash.slice(1) || "me"));
  pick.value = String(Math.max(0, asked));
  pick.addEventListener("change", shown);
  shown();
  place.hidden = false;
  document.getElementById("waits").hidden = true;
};
load().catch(() => { document.getElementById("waits").textContent = gettext("The description of the API cannot be read now. Load the page again."); });
})();
