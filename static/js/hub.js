// What HTML and htmx cannot do: copy to the clipboard, close a menu by a click outside, stop polling in the background,
// and add new rows to a list without moving the rows in use.
"use strict";

const revealCopyButtons = (root) => root.querySelectorAll("[data-copy][hidden]").forEach((b) => (b.hidden = false));

document.addEventListener("DOMContentLoaded", () => revealCopyButtons(document));
document.addEventListener("htmx:afterSettle", (event) => revealCopyButtons(event.target));

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    button.dataset.label ??= button.textContent;
    button.textContent = (await isCopied(button)) ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = button.dataset.label), 1500);
  }
  closeMenus(event.target);
});

// Over plain HTTP there is no clipboard API, and a browser may deny access: then the text is selected for copying.
async function isCopied(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    return true;
  } catch {
    const text = document.getElementById(button.dataset.copyFrom) || button.previousElementSibling;
    if (text) getSelection().selectAllChildren(text);
    return false;
  }
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus(null);
});

function closeMenus(except) {
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (!except || !menu.contains(except)) menu.open = false;
  });
}

// Filters change the page in place, without a page load that a screen reader would announce.
document.addEventListener("htmx:afterSettle", (event) => {
  const [status, view] = ["viewed", "view"].map((id) => document.getElementById(id));
  if (status && event.detail.target?.id === "view") status.textContent = view.dataset.viewed;
});

// Shows an error in a form whose request failed.
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(failure, (event) => {
    if (!event.detail.elt.matches("form")) return;
    const notice = Object.assign(document.createElement("p"), { className: "notice bad", role: "alert" });
    notice.textContent = "The server could not answer the request. Nothing was saved. Reload the page and try again.";
    event.detail.target.replaceChildren(notice);
  });
}

// A poll that finds the session ended does not leave a page in whose form something was entered: saving the form keeps it.
let isEntered = false;

document.addEventListener("input", (event) => {
  if (event.target.form?.method === "post") isEntered = true;
});

document.addEventListener("htmx:beforeOnLoad", (event) => {
  const { elt, xhr } = event.detail;
  const polls = (elt.getAttribute("hx-trigger") || "").startsWith("every");
  // Other redirects are answers to the form: a passed check leads to the page of its network.
  const hasEnded = (xhr.getResponseHeader("HX-Redirect") || "").startsWith("/accounts/login/");
  if (isEntered && polls && hasEnded) event.preventDefault();
});

// A hidden or paused page does not poll, and neither does a list with an expanded row; a live list does, since its rows
// are added one by one.
document.addEventListener("htmx:beforeRequest", (event) => {
  const target = event.target;
  const polls = (target.getAttribute("hx-trigger") || "").startsWith("every");
  const live = "live" in target.dataset;
  const paused = live ? document.querySelector("[data-pause]:checked") : target.querySelector("details[open]");
  if (polls && (document.hidden || paused)) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  if (!("live" in list.dataset)) return;
  const answer = new DOMParser().parseFromString(event.detail.serverResponse, "text/html");
  const [rows, fresh] = [list, answer].map((root) => root.querySelector(".entries"));
  if (!rows || !fresh) return;
  event.detail.shouldSwap = false;
  mergeRows(rows, [...fresh.children]);
  const [pager, newer] = [list, answer].map((root) => root.querySelector(".pager"));
  if (pager && newer && !pager.contains(document.activeElement)) pager.replaceWith(newer);
});

// Adds new rows and removes old ones, except those that are expanded, focused or visible.
function mergeRows(rows, fresh) {
  const ids = new Set(fresh.map((row) => row.id));
  [...rows.children].filter((row) => !ids.has(row.id) && !isRowInUse(row)).forEach((row) => row.remove());
  let next = rows.firstElementChild;
  for (const row of fresh) {
    const present = document.getElementById(row.id);
    if (present) {
      present.querySelector("time").textContent = row.querySelector("time").textContent;
      next = present.nextElementSibling;
    } else {
      row.classList.add("arrived");
      rows.insertBefore(row, next);
      htmx.process(row);
    }
  }
}

function isRowInUse(row) {
  const { top, bottom } = row.getBoundingClientRect();
  return row.open || row.contains(document.activeElement) || (top < innerHeight && bottom > 0);
}
