// Adding a passkey and signing in with one. A form says which in data-passkey (create, get) and carries the server's
// options in data-options, or names in data-from where to ask for them; the browser's answer goes into "credential".
"use strict";

const WHY = {
  NotAllowedError: "The browser got no answer: it was cancelled, or took too long. Try again.",
  InvalidStateError: "This device has a passkey for this account already.",
  SecurityError: "Passkeys need an https:// address with a domain name, or localhost.",
  ConstraintError: "This device cannot check that it is you. Use another, or an authenticator app.",
};

function say(form, text) {
  const notice = form.querySelector("[role=alert]");
  notice.textContent = text;
  notice.hidden = false;
}

async function options(form) {
  if (form.dataset.options) return JSON.parse(form.dataset.options);
  const answer = await fetch(form.dataset.from, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}. Try again in a minute.`);
  return (await answer.json()).request_options;
}

// A passkey that signs in alone must be found without a user name, and must have checked who holds it.
function alone(asked, wanted) {
  const kept = asked.publicKey.authenticatorSelection || {};
  asked.publicKey.authenticatorSelection = {
    ...kept,
    residentKey: wanted ? "required" : "discouraged",
    requireResidentKey: wanted,
    userVerification: wanted ? "required" : kept.userVerification,
  };
  return asked;
}

document.querySelectorAll("form[data-passkey]").forEach((form) => {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    form.querySelector("[role=alert]").hidden = true;
    if (!webauthnJSON.supported()) {
      return say(form, `This browser knows no passkeys here. ${WHY.SecurityError}`);
    }
    try {
      const asked = await options(form);
      const credential =
        form.dataset.passkey === "create"
          ? await webauthnJSON.create(alone(asked, Boolean(form.elements.passwordless?.checked)))
          : await webauthnJSON.get(asked);
      form.elements.credential.value = JSON.stringify(credential);
      form.submit();
    } catch (problem) {
      say(form, WHY[problem.name] || problem.message);
    }
  });
});
