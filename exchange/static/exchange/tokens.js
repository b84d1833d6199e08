// Tokens in the browser: from raw values to the tokens that may leave it. Used by pages that have
// <script id="tokens" data-worker=… data-scripts=… data-tables=… data-keys=… data-evaluate=…>.
// A raw value goes to a worker of this page and nowhere else.

"use strict";

self.tokens = (() => {
  const SIZES = [16, 128, 1000];
  const place = document.getElementById("tokens");
  const pool = [];
  let number = 0;
  let keys = null;

  // Of scripts that are named at run time there is one, the worker's (Trusted Types): the one that the page names, of our own origin.
  const policy = self.trustedTypes?.createPolicy("worker", {
    createScriptURL: (asked) => {
      if (asked === place.dataset.worker && new URL(asked, location.href).origin === location.origin) return asked;
      throw new TypeError("This is not the script of the worker.");
    },
  });
  const address = (asked) => policy?.createScriptURL(asked) ?? asked;

  // What the worker could not do, in words.
  const FAILED = {
    answer: gettext("The answer of the key service does not prove that it is one to these values. Nothing is tokenised."),
    values: gettext("The browser could not make tokens of these values."),
  };

  const started = () => {
    if (pool.length) return Promise.all(pool.map((one) => one.ready));
    const count = Math.min(4, Math.max(1, navigator.hardwareConcurrency || 2));
    for (let at = 0; at < count; at += 1) {
      const worker = new Worker(address(place.dataset.worker));
      const asked = new Map();
      const ready = new Promise((resolve, reject) => {
        worker.addEventListener("message", ({ data }) => {
          if (data.loaded) resolve();
          else if (data.failed) asked.get(data.id)[1](new Error(FAILED[data.failed]));
          else asked.get(data.id)[0](data);
        });
        worker.addEventListener("error", () => reject(new Error(gettext("The browser could not start what makes tokens."))));
      });
      worker.postMessage({ load: { scripts: place.dataset.scripts.split(" "), tables: place.dataset.tables } });
      pool.push({ worker, asked, ready });
    }
    return Promise.all(pool.map((one) => one.ready));
  };

  const ask = (one, id, what) => new Promise((resolve, reject) => {
    one.asked.set(id, [resolve, reject]);
    one.worker.postMessage({ id, ...what });
  });

  // The document of an answer. A page that a redirect led to is none, whatever its status: who is not signed in is sent there.
  const read = async (answer) => {
    if (answer.redirected || answer.status === 401) throw new Error(gettext("You were signed out. Sign in in another tab, then press the button again: what you wrote stays here."));
    const document_ = await answer.json().catch(() => null);
    if (!answer.ok) throw Object.assign(new Error(document_?.detail || interpolate(gettext("The exchange answered %(status)s."), { status: answer.status }, true)), { code: document_?.code });
    if (document_ === null) throw new Error(gettext("The answer of the exchange cannot be read. Try again."));
    return document_;
  };
  const fetched = (url, how = {}) => fetch(url, { credentials: "same-origin", ...how, headers: { Accept: "application/json", ...how.headers } })
    .catch(() => { throw new Error(gettext("The exchange does not answer. Try again.")); });

  const crumb = () => document.querySelector("#main [name=csrfmiddlewaretoken]");
  // Signing in again changes what forms are known by: the page is asked for its own, if the same person is signed in. It is
  // read as text: no markup is made of it (Trusted Types).
  const SPELT = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
  const renewed = async () => {
    const page = await (await fetched(location.pathname)).text();
    const who = [...document.querySelectorAll(".who > *")].map((one) => `>${one.textContent.replace(/[&<>"']/g, (sign) => SPELT[sign])}</`);
    const fresh = /name="csrfmiddlewaretoken" value="([A-Za-z0-9]+)"/.exec(page);
    if (!fresh || !who.length || !who.every((one) => page.includes(one))) return false;
    crumb().value = fresh[1];
    return true;
  };
  const sent = (url, body) => fetched(url, {
    method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": crumb().value }, body: JSON.stringify(body),
  });
  const post = async (url, body) => {
    try {
      return await read(await sent(url, body));
    } catch (error) {
      if (error.code !== "csrf" || !(await renewed())) throw error;
      return read(await sent(url, body));
    }
  };

  // The public keys, each the first time that this browser sees it; another one under the same name is refused.
  const known = async () => {
    if (keys) return keys;
    const found = (await read(await fetched(place.dataset.keys))).keys;
    const pinned = JSON.parse(localStorage.getItem("exchange-token-keys") || "{}");
    for (const key of found) {
      const name = `${key.kind} ${key.epoch}`;
      if (pinned[name] && pinned[name] !== key.public_key) throw new Error(interpolate(gettext("The key %(name)s is another one than this browser has seen. Nothing is tokenised; tell your operator."), { name }, true));
      pinned[name] = key.public_key;
    }
    localStorage.setItem("exchange-token-keys", JSON.stringify(pinned));
    keys = found;
    return keys;
  };

  const sizes = (count) => {
    const small = SIZES.find((size) => count <= size);
    if (small) return [small];
    let many = Math.ceil(count / 1000);
    const step = 1 << Math.max(0, many.toString(2).length - 3);
    many = Math.ceil(many / step) * step;
    return Array(many).fill(1000);
  };

  // The normal forms of [subkind, raw] pairs; null where one is not of its kind.
  const forms = async (lines) => {
    await started();
    number += 1;
    return (await ask(pool[0], number, { read: lines })).forms;
  };

  // Tokens of forms of one subkind, by form: [{subkind, scheme, key_epoch, value}], a token for each key.
  // `look`: with every key that answers; else with those under which one publishes now.
  const made = async (subkind, kind, wanted, { look, progress }) => {
    await started();
    const now = new Date().toISOString();
    const asked = (await known()).filter((key) => key.kind === kind && (look || (key.publish_from <= now && now < key.publish_until)));
    const unique = [...new Set(wanted)];
    const found = new Map(unique.map((form) => [form, []]));
    const jobs = [];
    for (const key of asked) {
      let at = 0;
      for (const size of sizes(unique.length)) {
        const part = unique.slice(at, at + size);
        at += size;
        if (part.length) jobs.push({ key, size, part });
      }
    }
    let done = 0;
    const run = async (one) => {
      for (let job = jobs.shift(); job; job = jobs.shift()) {
        number += 1;
        const id = number;
        const { points } = await ask(one, id, { blind: { subkind, forms: job.part, size: job.size } });
        const answer = await post(place.dataset.evaluate, { subkind, epoch: job.key.epoch, points });
        const { values } = await ask(one, id, { finalise: { answer, key: job.key.public_key } });
        const publishes = job.key.publish_from <= now && now < job.key.publish_until;
        job.part.forEach((form, at) => found.get(form).push({ subkind, scheme: "oprf-ristretto255-sha512", key_epoch: job.key.epoch, value: values[at], publishes }));
        done += job.part.length;
        progress?.(done);
      }
    };
    await Promise.all(pool.map(run));
    return found;
  };

  return { forms, made, post };
})();
