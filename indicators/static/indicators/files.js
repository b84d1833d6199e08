// What analysts bring to be published (a list, CSV, STIX, MISP events, NOVA, rules) as lines, each with its place in it:
//
//   {line, subkind, value, says}   {line, subkind, raw, kind, says}   {line, object}   {line, subkind, stayed}
//
// `raw` has to become a token before it leaves; `stayed` is a word of WHY: such a line leaves as its number and that word.

"use strict";

self.files = (() => {
  const WHY = {
    ...reading.WHY,
    id: gettext("a value, not an id, hash or token, is published from here"),
    kind: gettext("not of its kind; it stays here"),
    personal: gettext("it holds an e-mail address or what looks like a card number, which never leaves as it is"),
    type: gettext("an attribute of a type that is not published from here"),
  };
  // Attributes of MISP, by what they are here; others stay.
  const MISP = {
    "ip-src": "net", "ip-dst": "net", domain: "host", hostname: "host", "email-src": "email", "email-dst": "email", email: "email",
    "phone-number": "phone", iban: "iban_token", btc: "crypto_addr", xmr: "crypto_addr", "ja4": "client_fp", "AS": "net",
  };
  const COLUMNS = {
    mail: "email", e_mail: "email", ip: "net", address: "net", network: "net", host: "gateway_host", domain: "email_domain", iban: "iban_token",
    card: "card", pan: "card", pan_token: "card", prompt: "skeleton",
  };
  const ENDS = /\r\n|[\n\r]/;
  const pick = document.getElementById("subkind");
  const options = [...pick.options].filter((one) => one.value);
  const carrying = (carries) => options.filter((one) => one.dataset.carries === carries).map((one) => one.value);
  const PERSONAL = Object.fromEntries(options.filter((one) => one.dataset.carries === "tokens").map((one) => [one.value, one.parentElement.label]));
  const WHOLE = [...carrying("signature"), ...carrying("rule")];
  // Texts: what is in them is no sign of another format.
  const TEXTS = [...WHOLE, "skeleton"];

  const isHex = (text) => /^[0-9a-f]{64}$/i.test(text.trim());
  const stays = (line, stayed, subkind) => ({ line, subkind, stayed });

  // One value, or null where there is none.
  const fromValue = (line, text, wanted, says = {}) => {
    if (!text.trim()) return null;
    if (WHOLE.includes(wanted)) return reading.holdsPersonal(text) ? stays(line, "personal", wanted) : { line, subkind: wanted, value: text, says };
    if (reading.looksLikeCard(text) && !isHex(text) && wanted !== "iban_token") return stays(line, "card", wanted);
    if (PERSONAL[wanted]) return { line, subkind: wanted, raw: text, kind: PERSONAL[wanted], says };
    const read = reading.line(text);
    if (!read) return null;
    if (read.invalid) return stays(line, read.code, wanted);
    if (["id", "hash", "token"].includes(read.subkind)) return stays(line, "id", wanted);
    if (read.raw !== undefined) return { line, subkind: read.subkind, raw: read.raw, kind: read.kind, says };
    const subkind = read.subkind === "host" ? (wanted === "email_domain" ? "email_domain" : "gateway_host") : read.subkind;
    return { line, subkind, value: read.clear, says };
  };
  const fromLines = (lines, wanted) => lines.map((text, at) => fromValue(at + 1, text, wanted)).filter(Boolean);

  // CSV of RFC 4180, comma or semicolon: rows with the line that each begins in.
  const csv = (text) => {
    const head = text.trimStart().split("\n", 1)[0];
    const mark = (head.match(/;/g) || []).length > (head.match(/,/g) || []).length ? ";" : ",";
    let row = { line: 1, cells: [""] };
    const rows = [row];
    let [line, quoted] = [1, false];
    const add = (sign) => { row.cells[row.cells.length - 1] += sign; };
    const ended = () => { row = { line, cells: [""] }; rows.push(row); };
    for (let at = 0; at < text.length; at += 1) {
      const one = text[at];
      if (one === "\n") line += 1;
      if (quoted) {
        if (one === '"' && text[at + 1] === '"') { add('"'); at += 1; } else if (one === '"') quoted = false; else add(one);
      } else if (one === '"' && row.cells.at(-1) === "") quoted = true;
      else if (one === mark) row.cells.push("");
      else if (one === "\n") ended();
      else add(one);
    }
    return rows.filter((each) => each.cells.some((cell) => cell.trim()));
  };

  const columns = (head) => head.map((one) => one.trim().toLowerCase().replace(/[ -]/g, "_"))
    .map((name, at) => ({ at, name, subkind: COLUMNS[name] || (options.some((one) => one.value === name) ? name : "") }));

  const fromCsv = ([head, ...rows], says) => {
    const named = columns(head.cells);
    return rows.flatMap(({ line, cells }) => {
      const own = Object.fromEntries(named.map(({ name, at }) => [name, cells[at]?.trim()]).filter(([name, value]) => says.includes(name) && value));
      const found = named.filter(({ subkind }) => subkind)
        .map(({ subkind, at }) => (subkind === "card" && cells[at]?.trim() ? stays(line, "card") : fromValue(line, cells[at] ?? "", subkind, own)));
      const kept = found.filter(Boolean);
      return kept.length ? kept : [stays(line, "none")];
    });
  };

  // Every text, name and number of a document.
  const texts = (node) => (Array.isArray(node) ? node.flatMap(texts)
    : node && typeof node === "object" ? Object.entries(node).flatMap(([name, value]) => [name, ...texts(value)]) : [String(node)]);
  const KEYED = /[0-9a-f]{32,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\d{4}-\d\d-\d\dT[\d:.]+Z/gi; // tokens, ids, times: no card

  // STIX goes as it is, unless it says what never leaves: then it stays.
  const fromStix = (objects) => objects.flatMap((one) => (one?.type === "bundle" && Array.isArray(one.objects) ? one.objects : [one])).map((object, at) => {
    if (!object || typeof object !== "object" || Array.isArray(object)) return stays(at + 1, "none");
    const text = texts(object).join("\n");
    return /email-addr:value/.test(text) || reading.holdsPersonal(text.replace(KEYED, " ")) ? stays(at + 1, "personal") : { line: at + 1, object };
  });

  const fromMisp = (events) => events.flatMap((event) => [...(event.Attribute || []), ...(event.Object || []).flatMap((one) => one.Attribute || [])])
    .map((one, at) => {
      const wanted = Object.hasOwn(MISP, one?.type) ? MISP[one.type] : "";
      if (!wanted || typeof one.value !== "string") return stays(at + 1, "type");
      return fromValue(at + 1, one.type === "AS" ? `AS${one.value.replace(/^AS/i, "")}` : one.value, wanted) || stays(at + 1, "none");
    });

  // A document of JSON, or one a line; undefined where it is neither.
  const json = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      try {
        return text.split(ENDS).filter((one) => one.trim()).map((one) => JSON.parse(one));
      } catch {
        return undefined;
      }
    }
  };
  const fromJson = (found) => {
    const wholes = Array.isArray(found) ? found : Array.isArray(found.response) ? found.response : [found];
    if (wholes.length && wholes.every((one) => one?.Event)) return fromMisp(wholes.map((one) => one.Event));
    return fromStix(Array.isArray(found) ? found : found.objects || [found]);
  };

  const RULE = /(?=^[^\S\n]*rule\s+\w+\s*\{)/m;
  const fromNova = (text) => {
    let line = 1;
    return text.split(RULE).flatMap((part) => {
      const begins = line + (/^\s*/.exec(part)[0].match(/\n/g) || []).length;
      line += (part.match(/\n/g) || []).length;
      return fromValue(begins, part.trim(), "nova_rule") || [];
    });
  };

  // The lines of a text, as what `wanted` says, or as it reads; `says` are columns that speak of their line.
  const read = (written, wanted, says) => {
    const text = written.replace(/\r\n?/g, "\n");
    const isText = TEXTS.includes(wanted);
    if (/^\s*[[{]/.test(text)) {
      const found = json(text);
      if (found && typeof found === "object" && [found].flat().some((one) => one && typeof one === "object")) return fromJson(found);
      if (!isText) throw new Error(gettext("It begins like JSON, and is none."));
    }
    if (wanted === "nova_rule" || (!isText && RULE.test(text) && /keywords:|semantics:|llm:|condition:/.test(text))) return fromNova(text);
    if (isText) return fromLines(text.split("\n"), wanted);
    const rows = csv(text);
    if (rows.length > 1 && columns(rows[0].cells).some(({ subkind }) => subkind)) return fromCsv(rows, says);
    const found = fromLines(text.split("\n"), wanted);
    if (rows.length > 1 && rows.slice(0, 2).every(({ cells }) => cells.length > 1) && found.every((one) => one.stayed)) {
      throw new Error(interpolate(gettext("No column has a name that says what it holds: %(names)s …"), { names: options.slice(0, 6).map((one) => one.value).join(", ") }, true));
    }
    return found;
  };

  return { read, WHY };
})();
