// Normal forms (norm_version 2) of values that are tokenised: what exchange/tokens/normalising.py and prompts.py do,
// held equal by exchange/docs/token-vectors.json. A classic script, for pages and workers alike.
// Needs `bundled_phone` for telephone numbers, `bundled_words` and `bundled_oprf` (a hash) for prompts, and `load` with
// normal-tables.json for IBANs and prompts.

"use strict";

self.normalForms = (() => {
  // As Python's str.strip and str.isprintable see it.
  const EDGES = /^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/gu;
  const BLANK = /[\p{C}\p{Z}]/u;
  const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
  const GMAIL = new Set(["gmail.com", "googlemail.com"]);
  const SIGNS = ["\ue000", "\ue001", "\ue002"];
  const URL_ = /[a-z][a-z0-9+.-]{0,31}:\/\/[a-z0-9._~:/?#[\]@!$&'()*+,;=%-]+|www\.[a-z0-9._~:/?#[\]@!$&'()*+,;=%-]+/gu;
  const EMAIL = /[a-z0-9][a-z0-9.!#$%&'*+/=?^_`{|}~-]{0,63}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+/gu;
  const DIGITS = /\p{Nd}+/gu;
  const encoder = new TextEncoder();
  const bytes = (text) => encoder.encode(text);
  const strip = (text) => text.replace(EDGES, "");
  const nfkc = (text) => text.normalize("NFKC");
  const refuse = (words) => { throw new RangeError(words); };

  const passesLuhn = (digits) => {
    let total = 0;
    [...digits].reverse().forEach((digit, place) => {
      const doubled = Number(digit) * (1 + (place % 2));
      total += doubled > 9 ? doubled - 9 : doubled;
    });
    return total % 10 === 0;
  };

  const host = (text) => {
    let folded = strip(nfkc(strip(text))).replace(/\.+$/, "");
    if (/[^\0-\x7f]/.test(folded)) {
      if (/[\s/?#@:%\\[\]]/.test(folded)) refuse("not a host name");
      try {
        folded = new URL(`http://${folded}`).hostname.replace(/\.+$/, "");
      } catch {
        refuse("not a host name");
      }
    }
    folded = folded.toLowerCase();
    const labels = folded.split(".");
    if (folded.length > 253 || labels.length < 2 || /^\d+$/.test(labels.at(-1)) || !labels.every((one) => LABEL.test(one))) refuse("not a host name");
    return folded;
  };

  const emailExact = (text) => {
    let folded = strip(nfkc(nfkc(strip(text)).toLowerCase()));
    if (folded.startsWith("mailto:")) folded = strip(folded.slice(7));
    const at = folded.lastIndexOf("@");
    const local = folded.slice(0, Math.max(at, 0));
    if (at < 0 || !local || local.includes("@") || BLANK.test(local) || bytes(local).length > 64) refuse("not an e-mail address");
    const found = host(folded.slice(at + 1));
    return `${local}@${GMAIL.has(found) ? "gmail.com" : found}`;
  };

  const emailFolded = (text) => {
    const exact = emailExact(text);
    const at = exact.lastIndexOf("@");
    const domain = exact.slice(at + 1);
    let bare = exact.slice(0, at).split("+")[0] || exact.slice(0, at);
    if (domain === "gmail.com") bare = bare.replaceAll(".", "") || bare;
    return `${bare}@${domain}`;
  };

  const phone = (text) => {
    let written = strip(nfkc(text));
    if (written.startsWith("00")) written = `+${written.slice(2)}`;
    const read = (said) => /^\+[0-9\s().\-/\u2010-\u2015]{7,40}$/u.test(said) && bundled_phone.parsePhoneNumberFromString(said);
    const found = read(written);
    if (!found || !found.isPossible()) refuse("not a telephone number with its country code");
    const form = found.format("E.164");  // which must not read as yet another number: +53 00 …
    const again = read(form);
    if (!again || again.format("E.164") !== form) refuse("not a telephone number with its country code");
    return form;
  };

  const pan = (text) => {
    const digits = strip(nfkc(text)).replace(/[ -]/g, "");
    if (!/^[0-9]{12,19}$/.test(digits) || !passesLuhn(digits)) refuse("not a card number");
    return digits;
  };

  const par = (text) => {
    const folded = strip(nfkc(text)).toUpperCase();
    if (!/^[A-Z0-9]{29}$/.test(folded)) refuse("not a payment account reference");
    return folded;
  };

  const iban = (text) => {
    const number = strip(nfkc(text).replace(/[\u2010-\u2015\u2212]/g, "-").replace(/[ .-]/g, "")).toUpperCase();
    if (!/^[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}$/.test(number)) refuse("not an IBAN");
    let rest = 0;
    for (const one of number.slice(4) + number.slice(0, 4)) {
      for (const digit of String(parseInt(one, 36))) rest = (rest * 10 + Number(digit)) % 97;
    }
    const built = tables?.ibans[number.slice(0, 2)];
    if (rest !== 1 || !built) refuse("not an IBAN");
    const pattern = built.replace(/(\d+)!([nac])/g, (_, count, kind) => `${{ n: "[0-9]", a: "[A-Z]", c: "[A-Z0-9]" }[kind]}{${count}}`);
    if (!new RegExp(`^${pattern}$`).test(number.slice(4))) refuse("not an IBAN");
    return number;
  };

  const opaque = (text) => {
    const found = strip(text);
    const size = bytes(found).length;
    if (size < 1 || size > 256) refuse("not of 1 to 256 bytes");
    return found;
  };

  const byCodePoint = (one, other) => {
    const [a, b] = [[...one], [...other]];
    for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
      if (a[at] !== b[at]) return a[at].codePointAt(0) - b[at].codePointAt(0);
    }
    return a.length - b.length;
  };

  const signupTemplate = (text) => {
    const lines = [...new Set(text.split(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/).map(strip))].filter(Boolean).sort(byCodePoint);
    if (!lines.every((line) => line.indexOf("=") > 0)) refuse("not lines of key=value");
    return opaque(lines.join("\n"));
  };

  // Prompts
  let tables = null;
  let read = null;
  const inClass = (written) => written.split(" ").map((one) => {
    const [first, last] = one.split("-");
    return `\\u{${first}}-\\u{${last || first}}`;
  }).join("");
  const mapOf = (written) => new Map(written.split(" ").map((one) => {
    const [source, target] = one.split("=");
    return [String.fromCodePoint(parseInt(source, 16)), target.split("+").filter(Boolean).map((each) => String.fromCodePoint(parseInt(each, 16))).join("")];
  }));
  const load = (document) => {
    tables = document;
    read = {
      unassigned: new RegExp(`[^${inClass(tables.assigned)}]|[\\ue000-\\ue002]`, "gu"),
      ignorable: new RegExp(`[${inClass(tables.ignorable)}]+`, "gu"),
      wordy: new RegExp(`[${inClass(tables.letters_and_marks)}\\ue000-\\ue002]`, "u"),
      own: new RegExp(`([${inClass(tables.own_words)}][${inClass(tables.marks)}]*)`, "u"),
      prototypes: mapOf(tables.prototypes),
      folding: mapOf(tables.folding),
    };
  };
  const caseFold = (text) => [...text].map((one) => read.folding.get(one) ?? one.toLowerCase()).join("");
  const fold = (text) => {
    if (!text.isWellFormed?.() && /[\ud800-\udfff]/u.test(text)) refuse("half a character");
    let plain = caseFold(nfkc(text.replace(read.unassigned, "\ufffd")).replace(read.ignorable, ""));
    [URL_, EMAIL, DIGITS].forEach((expression, place) => { plain = plain.replace(expression, SIGNS[place]); });
    const alike = [...plain.normalize("NFD")].map((one) => read.prototypes.get(one) ?? one).join("");
    return caseFold(alike.normalize("NFD"));
  };
  const words = (text) => {
    const found = [];
    for (const segment of bundled_words.split(fold(text))) {
      if (!read.wordy.test(segment)) continue;
      if (read.own.test(segment)) found.push(...segment.split(new RegExp(read.own.source, "gu")).filter((piece) => piece && read.wordy.test(piece)));
      else found.push(segment);
    }
    return found;
  };
  const skeleton = (text) => {
    const found = words(text);
    if (!found.length) refuse("a text without a word");
    return found.join(" ");
  };
  const phrases = (text) => {
    const found = words(text);
    const runs = new Set();
    for (let at = 0; at + 5 <= found.length; at += 1) runs.add(found.slice(at, at + 5).join(" "));
    return [...runs].filter((run) => bundled_oprf.sha256(bytes(run))[0] % 3 === 0 && !run.includes(SIGNS[1]));
  };

  const one = (normalise) => (raw) => [normalise(raw)];
  const FORMS = {
    device: one(opaque), email: (raw) => [emailExact(raw), emailFolded(raw)], email_domain: one(host), iban_token: one(iban),
    pan_token: one(pan), par: one(par), phone: one(phone), phrase: phrases, psp_fp: one(opaque),
    signup_template: one(signupTemplate), skeleton: one(skeleton),
  };
  // The normal forms of a raw value, the purest first. Throws RangeError, without the value, for what is not of its kind.
  const of = (subkind, raw) => [...new Set(FORMS[subkind](raw))];
  const inputBytes = (subkind, form) => bytes(`exchange-token-v2\0${subkind}\0${form}`);
  return { load, of, inputBytes, passesLuhn, isLoaded: () => read !== null };
})();
