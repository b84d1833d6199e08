// How a pasted line is read: what it is, what of it may be asked in clear, and what has to become a token first.
// Personal values and prompts never travel as they are; what looks like a card number goes nowhere at all.

"use strict";

self.reading = (() => {
  const KINDS = {
    email: "account-pattern", phone: "account-pattern", device: "account-pattern",
    iban_token: "payment-fingerprint", par: "payment-fingerprint", psp_fp: "payment-fingerprint",
    skeleton: "prompt-signature",
  };
  const NAMED = {
    email: "email", "e-mail": "email", mail: "email", phone: "phone", tel: "phone", device: "device", iban: "iban_token",
    iban_token: "iban_token", par: "par", psp: "psp_fp", psp_fp: "psp_fp", prompt: "skeleton", skeleton: "skeleton",
  };
  const WORDS = { email: gettext("e-mail"), phone: gettext("phone"), device: gettext("device"), iban_token: gettext("bank account"), par: gettext("payment card"), psp_fp: gettext("payment method"), skeleton: gettext("prompt") };
  const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?$/;
  const IPV6 = /^(?=.*:.*:)[0-9a-f:.]{2,45}(?:\/\d{1,3})?$/i;
  const HOST = /^(?=.{4,253}\.?$)[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)+\.?$/u;

  const refang = (text) => text
    .replace(/^h(?:xx|\*\*)p(s?)(?=:)/i, "http$1")
    .replace(/\[:\/\/\]/g, "://").replace(/\[:\]/g, ":")
    .replace(/\s*(?:\[(?:\.|dot)\]|\((?:\.|dot)\)|\{\.\})\s*/gi, ".")
    .replace(/\s*(?:\[(?:@|at)\]|\((?:@|at)\))\s*/gi, "@");

  // Twelve to nineteen digits whose check digit is right, wherever they stand in a line.
  const looksLikeCard = (text) => {
    for (const [run] of text.normalize("NFKC").matchAll(/(?<![\p{L}\p{N}+])\p{Nd}(?:[ .\-\u2010-\u2015]?\p{Nd}){11,18}(?![\p{L}\p{N}])/gu)) {
      const digits = run.replace(/[^0-9]/g, "");
      if (digits.length >= 12 && digits.length <= 19 && normalForms.passesLuhn(digits)) return true;
    }
    return false;
  };

  // Whether a text that would travel as it is holds an e-mail address or what looks like a card number. In a regular
  // expression a sign may stand behind a backslash; a class such as \w, or `.+`, is no part of an address.
  const EMAIL = /[\p{L}\p{N}][\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]{0,63}@[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63})+/u;
  const holdsPersonal = (text) => {
    const plain = text.normalize("NFKC");
    const literal = plain.replace(/\\[a-z0-9]|\.[+*]/gi, " ").replace(/\\/g, "");
    return looksLikeCard(plain) || looksLikeCard(literal) || EMAIL.test(literal);
  };

  const personal = (subkind, raw, how) => ({ subkind, raw, how: how || WORDS[subkind], kind: KINDS[subkind] });
  const clear = (subkind, value, how, kind = "account-pattern", ofUrl = false) => ({ subkind, clear: value, how, kind, ofUrl });
  // Why a line is none that may leave, by a word for scripts.
  const WHY = {
    card: gettext("looks like a card number: it stays here; make it a token inside your card environment"),
    long: gettext("longer than 4,000 characters; kept here"),
    none: gettext("nothing we can compare; kept here"),
    url: gettext("a URL without a host"),
  };
  const stays = (code) => ({ invalid: WHY[code], code });

  // One line, or null for an empty one.
  const line = (written) => {
    const text = written.trim();
    if (!text) return null;
    if (text.length > 4000) return stays("long");
    const named = /^([a-z_-]{2,12})\s*:\s+(.+)$/is.exec(text) || /^([a-z]{3,12}_[a-z]{2,5}):(.+)$/is.exec(text);
    const subkind = named && NAMED[named[1].toLowerCase()];
    if (subkind && !(subkind !== "skeleton" && looksLikeCard(named[2]))) return personal(subkind, named[2]);
    if (/^[0-9a-f]{64}$/i.test(text)) {
      return { subkind: "token", tokens: [text.toLowerCase()], how: text === text.toLowerCase() ? gettext("token") : gettext("token, upper-case hex") };
    }
    if (/^[a-z][a-z0-9-]{2,40}--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)) return clear("id", text, "id", "");
    const iban = text.replace(/[ .-]/g, "");
    if (/^[a-z]{2}\d{2}[a-z0-9]{11,30}$/i.test(iban) && /[ ]|^[A-Z]{2}\d{2}[A-Z0-9]+$/.test(text)) return personal("iban_token", text);
    const plain = refang(text);
    const how = plain === text ? "" : gettext(", defanged");
    if (IPV4.test(plain) || (IPV6.test(plain) && !/^\d+:\d+:\d+$/.test(plain))) return clear("net", plain, `${plain.includes("/") ? gettext("network") : gettext("address")}${how}`);
    if (looksLikeCard(plain)) return stays("card");
    if (/^(?:mailto:)?[^\s@]+@[^\s@]+$/i.test(plain)) return personal("email", plain, `${gettext("e-mail")}${how}`);
    if (/^(?:\+|00)[\d\s().\-/]{7,40}$/.test(plain)) return personal("phone", plain);
    if (/^[A-Z0-9]{29}$/.test(text)) return personal("par", text);
    if (/^[a-z][a-z0-9+.-]{1,15}:\/\//i.test(plain)) {
      try {
        const name = new URL(plain.replace(/^[a-z][a-z0-9+.-]*/i, "http")).hostname.replace(/^\[|\]$/g, "");
        return IPV4.test(name) || name.includes(":") ? clear("net", name, gettext("address of the URL"), undefined, true) : clear("host", name, gettext("host of the URL"), undefined, true);
      } catch {
        return stays("url");
      }
    }
    if (/^as\s?\d{1,10}$/i.test(plain)) return clear("net", plain.replace(/\s/g, ""), gettext("AS number"));
    if (/^[tqd]\d{2}[di]\d{4}[a-z0-9]{2}_[0-9a-f]{12}_[0-9a-f]{12}$/i.test(plain)) return clear("client_fp", plain, gettext("client fingerprint"));
    if (/^\d{6,8}(?:-\d{6,8})?$/.test(plain)) return clear("bin_range", plain, gettext("BIN range"), "payment-fingerprint");
    if (HOST.test(plain)) return clear("host", plain, `${gettext("host")}${how}`);
    if (/^[^\s:/]+\.[^\s:/]+:\d{1,5}$/.test(plain)) return clear("host", plain.replace(/:\d+$/, ""), gettext("host, port dropped"));
    if (/^[0-9a-f]{32}$|^[0-9a-f]{40}$/i.test(plain)) return clear("hash", plain, gettext("hash of a file"), "");
    if (/^(?:[a-z]{2,12}:)?(?:0x[0-9a-f]{40}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|(?:bc|tb|ltc)1[02-9a-z]{20,90})$/i.test(plain)) return clear("crypto_addr", plain, gettext("wallet"), "payment-fingerprint");
    if (text.split(/\s+/).length >= 5) return personal("skeleton", text);
    return stays("none");
  };

  // What stands for a raw value on the page once it was read.
  const masked = (read, written) => {
    if (read?.ofUrl) return `${/^[^/]*\/\/[^/?#]*/.exec(written.trim())?.[0].replace(/\/\/.*@/, "//") ?? read.clear}/…`;
    if (!read || read.raw === undefined) return written;
    if (read.subkind === "email") return `${written.trim()[0]}····@···· → token`;
    if (read.subkind === "skeleton") return interpolate(gettext("a prompt of %(count)s words → token"), { count: written.trim().split(/\s+/).length }, true);
    return interpolate(gettext("···· %(count)s characters → token"), { count: written.replace(/\s/g, "").length }, true);
  };

  return { line, masked, looksLikeCard, holdsPersonal, WHY };
})();
