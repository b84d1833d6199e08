// Passkeys: a form asks the browser for a credential, puts it into its hidden field and is sent.

const said = (form, words) => {
  const place = form.querySelector("[data-trouble]");
  if (!place) return;
  place.textContent = words;
  place.className = "errorlist";
  place.hidden = !words;
};

// WebAuthn wants https or localhost, and a name: an address such as 127.0.0.1 is refused by every browser.
const possible = () =>
  window.isSecureContext && "PublicKeyCredential" in window && "parseCreationOptionsFromJSON" in PublicKeyCredential
  && !/^[\d.]+$|:/.test(location.hostname);

const made = async (form) => {
  const answer = await fetch(form.dataset.options, { method: "POST", body: new FormData(form), redirect: "error" });
  if (!answer.ok) throw new Error(String(answer.status));
  const { publicKey } = await answer.json();
  return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) });
};

const shown = async (form) => {
  let options = form.dataset.request;
  if (!options) {
    const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    options = JSON.stringify((await answer.json()).request_options);
  }
  const { publicKey } = JSON.parse(options);
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
};

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-passkey]");
  if (!form) return;
  event.preventDefault();
  said(form, "");
  try {
    const credential = await (form.dataset.passkey === "make" ? made(form) : shown(form));
    form.querySelector("[name=credential]").value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    said(form, error.name === "InvalidStateError" ? gettext("This device already has a passkey here.")
      : error.name === "NotAllowedError" ? gettext("No passkey was given. Try again.")
      : gettext("That did not work. Load the page again."));
  }
});

document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const button = form.querySelector("button");
    button.removeAttribute("data-opened-by-script");
    button.disabled = !possible();
    if (possible()) continue;
    said(form, gettext("Passkeys work over https, or on http://localhost: not at this address, or not in this browser."));
    const place = form.querySelector("[data-trouble]");
    place.className = "hint"; // nothing went wrong: this way in is not open here
    place.removeAttribute("role");
  }
});
