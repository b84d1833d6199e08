// Acts that ask first: it runs before the page is read, so that none is pressed before its question is there.

"use strict";

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
