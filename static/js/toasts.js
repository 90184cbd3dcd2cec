// Toasts: said aloud, gone at a click, at Escape or by themselves. Without this file they stand on the page as text.
"use strict";

// Long enough to read two lines twice. What failed stays until somebody puts it away.
const SECONDS_SHOWN = 10;
const still = matchMedia("(prefers-reduced-motion: reduce)");

document.addEventListener("DOMContentLoaded", () => {
  const corner = document.getElementById("toasts");
  if (!corner) return;
  corner.querySelectorAll("[data-toast]").forEach(show);
  // Of the whole body: a step back in the history may bring a corner of its own.
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (node.dataset?.toast) show(node);
      else node.querySelectorAll?.("#toasts [data-toast]").forEach(show);
    }
  }).observe(document.body, { childList: true, subtree: true });
  // A screen reader tells what changes in a live region, not what is in it when the page comes.
  setTimeout(() => corner.querySelectorAll("[data-toast]").forEach(sayAgain), 150);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dismiss]");
  if (button) putAway(button.closest("[data-toast]"));
});

document.addEventListener("keydown", (event) => {
  const shown = document.querySelectorAll("[data-toast]");
  if (event.key === "Escape" && shown.length && !event.defaultPrevented) putAway(shown[shown.length - 1]);
});

// Moved, it would lose the focus of whoever is at its button already.
function sayAgain(toast) {
  if (!toast.contains(document.activeElement)) toast.parentNode.append(toast);
}

function show(toast) {
  if (toast.dataset.shown) return;
  toast.dataset.shown = "yes";
  toast.querySelector("[data-dismiss]").hidden = false;
  if (["success", "info"].includes(toast.dataset.toast) && !still.matches) leaveLater(toast);
}

function leaveLater(toast) {
  setTimeout(() => (toast.matches(":hover, :focus-within") ? leaveLater(toast) : toast.remove()), SECONDS_SHOWN * 1000);
}

function putAway(toast) {
  const hadFocus = toast.contains(document.activeElement);
  toast.remove();
  if (hadFocus) document.getElementById("main")?.focus();
}
