// The consent choice of the demo page, as a consent banner keeps it and states it on every page.
"use strict";

const CHOICE = "demo_consent";

// Keeps calls until the pixel has loaded.
window.afterclick ??= function () {
  (window.afterclick.q ??= []).push(arguments);
};

const stateConsent = (level) => window.afterclick("consent", level, { source: "demo page" });

const kept = localStorage.getItem(CHOICE);
if (kept) stateConsent(kept);

for (const choice of document.querySelectorAll("[name=consent]")) {
  choice.disabled = false;
  choice.checked = choice.value === kept;
  choice.addEventListener("change", () => {
    localStorage.setItem(CHOICE, choice.value);
    stateConsent(choice.value);
  });
}

document.getElementById("restart").addEventListener("submit", () => {
  for (const name of Object.keys(localStorage)) {
    if (name === CHOICE || name.startsWith("ac_")) localStorage.removeItem(name);
  }
});
