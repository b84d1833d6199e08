// Trusted Types: the one policy by which text becomes markup here, `htmx`. There is no default policy, so a string that any
// other code gives to innerHTML or the like is refused by the browser. The policy passes one string: the answer that htmx is
// about to put in, in the forms in which htmx hands it to the browser (`makeFragment`), once. Where no browser enforces Trusted
// Types, there is nothing to do.

if (window.trustedTypes) {
  let expected = [];

  const policy = window.trustedTypes.createPolicy("htmx", {
    createHTML: (markup) => {
      const known = expected.includes(markup);
      expected = [];
      if (!known) throw new TypeError("This is not what htmx was answered.");
      return markup;
    },
  });

  window.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (!detail.shouldSwap) return;
    const answer = detail.serverResponse;
    const body = answer.replace(/<head(\s[^>]*)?>[\s\S]*?<\/head>/i, "");
    expected = [answer, body, `<body><template class="internal-htmx-wrapper">${body}</template></body>`];
  });

  // htmx knows no policy: of the two functions by which it parses, it calls the one that the browser has.
  const [holder, name] = "parseHTMLUnsafe" in Document ? [Document, "parseHTMLUnsafe"] : [DOMParser.prototype, "parseFromString"];
  const parse = holder[name];
  holder[name] = function parsed(markup, ...more) {
    return parse.call(this, typeof markup === "string" ? policy.createHTML(markup) : markup, ...more);
  };
}
