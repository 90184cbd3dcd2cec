// Toasts: announced by screen readers, removed by a click, by Escape or after some seconds. Without this file they are
// text on the page.
"use strict";

// Long enough to read two lines twice. Errors stay until they are dismissed.
const SECONDS_SHOWN = 10;
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

document.addEventListener("DOMContentLoaded", () => {
  const corner = document.getElementById("toasts");
  if (!corner) return;
  corner.querySelectorAll("[data-toast]").forEach(show);
  // Observes the whole body, since going back in the history may replace #toasts.
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (node.dataset?.toast) show(node);
      else node.querySelectorAll?.("#toasts [data-toast]").forEach(show);
    }
  }).observe(document.body, { childList: true, subtree: true });
  // A screen reader announces changes of a live region, not its initial content.
  setTimeout(() => corner.querySelectorAll("[data-toast]").forEach(announce), 150);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dismiss]");
  if (button) dismiss(button.closest("[data-toast]"));
});

document.addEventListener("keydown", (event) => {
  const shown = document.querySelectorAll("[data-toast]");
  if (event.key === "Escape" && shown.length && !event.defaultPrevented) dismiss(shown[shown.length - 1]);
});

// Moves the toast within the live region, which is announced; not if its button has the focus.
function announce(toast) {
  if (!toast.contains(document.activeElement)) toast.parentNode.append(toast);
}

function show(toast) {
  if (toast.dataset.shown) return;
  toast.dataset.shown = "yes";
  toast.querySelector("[data-dismiss]").hidden = false;
  if (["success", "info"].includes(toast.dataset.toast) && !reducedMotion.matches) removeLater(toast);
}

function removeLater(toast) {
  setTimeout(() => (toast.matches(":hover, :focus-within") ? removeLater(toast) : toast.remove()), SECONDS_SHOWN * 1000);
}

function dismiss(toast) {
  const hadFocus = toast.contains(document.activeElement);
  toast.remove();
  if (hadFocus) document.getElementById("main")?.focus();
}
