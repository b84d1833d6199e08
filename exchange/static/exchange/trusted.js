// The one policy by which text becomes markup (Trusted Types): htmx puts in what our own server rendered and escaped.
// Text never becomes a script, and a script comes from our own origin alone.
window.trustedTypes?.createPolicy("default", {
  createHTML: (markup) => markup,
  createScriptURL: (address) => (new URL(address, location.href).origin === location.origin ? address : null),
});
