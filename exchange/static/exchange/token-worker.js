// A worker that makes tokens: raw values come in from the page, and only blinded points leave it.
//
//   {load: {scripts, tables}}                     once
//   {id, blind: {subkind, forms, size}}           -> {id, points}: base64, filled up to `size` with random points
//   {id, finalise: {answer, key}}                 -> {id, values}: hexadecimal, or {id, error} where the proof is wrong
//   {id, read: [[subkind, raw], …]}               -> {id, forms: [[…] or null where it is not of its kind]}

"use strict";

// A worker has its own policy (Trusted Types): its scripts come from our own origin alone.
const own = self.trustedTypes?.createPolicy("worker", {
  createScriptURL: (address) => (new URL(address, self.location.href).origin === self.location.origin ? address : null),
});

const waiting = new Map(); // by id: what was blinded

const to64 = (raw) => btoa(String.fromCharCode(...raw));
const from64 = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const hex = (raw) => [...raw].map((one) => one.toString(16).padStart(2, "0")).join("");
const fromHex = (text) => Uint8Array.from(text.match(/../g), (one) => parseInt(one, 16));

const random = () => {
  const drawn = crypto.getRandomValues(new Uint8Array(64));
  return bundled_oprf.ristretto255_hasher.deriveToCurve(drawn).toBytes();
};

const blind = ({ subkind, forms, size }, id) => {
  const items = forms.map((form) => {
    const input = normalForms.inputBytes(subkind, form);
    return { input, ...bundled_oprf.ristretto255_oprf.voprf.blind(input) };
  });
  // Filled up with points of no value: how many there are is told in coarse steps alone.
  const padding = Array.from({ length: size - forms.length }, () => ({ input: new Uint8Array(), blind: null, blinded: random() }));
  waiting.set(id, { items, padding });
  return { points: [...items, ...padding].map((one) => to64(one.blinded)) };
};

const finalise = ({ answer, key }, id) => {
  const { items, padding } = waiting.get(id);
  waiting.delete(id);
  if (answer.points.length !== items.length + padding.length) throw new Error();  // for fewer or more than was asked
  const points = answer.points.map(from64);
  // The proof is of all points, those that fill up too: they are finished with any scalar, and their output is dropped.
  const some = items[0].blind;
  const all = [...items, ...padding].map((one, place) => ({
    input: one.input, blind: one.blind ?? some, evaluated: points[place], blinded: one.blinded,
  }));
  const outputs = bundled_oprf.ristretto255_oprf.voprf.finalizeBatch(all, fromHex(key), from64(answer.proof));
  return { values: outputs.slice(0, items.length).map((one) => hex(one.slice(0, 32))) };
};

const read = (lines) => ({
  forms: lines.map(([subkind, raw]) => {
    try {
      return normalForms.of(subkind, raw);
    } catch {
      return null;
    }
  }),
});

self.addEventListener("message", async ({ data }) => {
  if (data.load) {
    importScripts(...data.load.scripts.map((address) => own?.createScriptURL(address) ?? address));
    normalForms.load(await (await fetch(data.load.tables)).json());
    postMessage({ loaded: true });
    return;
  }
  try {
    const done = data.blind ? blind(data.blind, data.id) : data.finalise ? finalise(data.finalise, data.id) : read(data.read);
    postMessage({ id: data.id, ...done });
  } catch {  // a worker has no catalogue: its page says which step failed
    postMessage({ id: data.id, failed: data.finalise ? "answer" : "values" });
  }
});
