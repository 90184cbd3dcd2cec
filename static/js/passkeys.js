// Adds a passkey or signs in with one: data-passkey of the form is "create" or "get". The server's options are in
// data-options, or at the URL in data-from. The browser's answer is submitted in the field "credential".
"use strict";

const MESSAGES = {
  NotAllowedError: "The browser got no answer: the request was canceled or took too long. Try again.",
  InvalidStateError: "This device already has a passkey for this account.",
  SecurityError: "Passkeys need an https:// address with a domain name, or localhost.",
  ConstraintError: "This device cannot verify your identity. Use another device or an authenticator app.",
};

function showError(form, text) {
  const notice = form.querySelector("[role=alert]");
  notice.textContent = text;
  notice.hidden = false;
}

async function loadOptions(form) {
  if (form.dataset.options) return JSON.parse(form.dataset.options);
  const answer = await fetch(form.dataset.from, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}. Try again in a minute.`);
  return (await answer.json()).request_options;
}

// A passkey without a password must be discoverable without a user name and must verify the user.
function withPasswordless(options, passwordless) {
  const selection = options.publicKey.authenticatorSelection || {};
  options.publicKey.authenticatorSelection = {
    ...selection,
    residentKey: passwordless ? "required" : "discouraged",
    requireResidentKey: passwordless,
    userVerification: passwordless ? "required" : selection.userVerification,
  };
  return options;
}

document.querySelectorAll("form[data-passkey]").forEach((form) => {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    form.querySelector("[role=alert]").hidden = true;
    if (!webauthnJSON.supported()) {
      return showError(form, `This browser does not support passkeys here. ${MESSAGES.SecurityError}`);
    }
    try {
      const options = await loadOptions(form);
      const credential =
        form.dataset.passkey === "create"
          ? await webauthnJSON.create(withPasswordless(options, Boolean(form.elements.passwordless?.checked)))
          : await webauthnJSON.get(options);
      form.elements.credential.value = JSON.stringify(credential);
      form.submit();
    } catch (error) {
      showError(form, MESSAGES[error.name] || error.message);
    }
  });
});
