// What HTML and htmx cannot do: copy to the clipboard, close a menu from outside, and keep still in the background.
"use strict";

const revealCopyButtons = (root) => root.querySelectorAll("[data-copy][hidden]").forEach((b) => (b.hidden = false));

document.addEventListener("DOMContentLoaded", () => revealCopyButtons(document));
document.addEventListener("htmx:afterSettle", (event) => revealCopyButtons(event.target));

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(button.dataset.copy);
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 1500);
  }
  closeMenus(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus(null);
});

function closeMenus(except) {
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (!except || !menu.contains(except)) menu.open = false;
  });
}

// A form whose answer never came must not look as if nothing had been asked.
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(failure, (event) => {
    if (!event.detail.elt.matches("form")) return;
    const notice = Object.assign(document.createElement("p"), { className: "notice bad", role: "alert" });
    notice.textContent = "The server could not answer this. Nothing was saved: reload the page and try again.";
    event.detail.target.replaceChildren(notice);
  });
}

// A hidden page asks for nothing, and a list stands still while something in it is open.
document.addEventListener("htmx:beforeRequest", (event) => {
  const target = event.target;
  const polls = (target.getAttribute("hx-trigger") || "").startsWith("every");
  if (polls && (document.hidden || target.querySelector("details[open]"))) event.preventDefault();
});
