// Acts that ask first: a small script of its own, which runs as soon as it came and holds up no painting.

"use strict";

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
