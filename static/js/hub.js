// What HTML and htmx cannot do: copy to the clipboard, close a menu from outside, keep still in the background, and
// let new rows into a list without moving what its reader has opened.
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

// There is no clipboard over plain HTTP, and a browser may refuse it: then the text is selected, ready to be copied.
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

// No page comes that a screen reader would announce when a filter changes this one in place.
document.addEventListener("htmx:afterSettle", (event) => {
  const [said, view] = ["viewed", "view"].map((id) => document.getElementById(id));
  if (said && event.detail.target?.id === "view") said.textContent = view.dataset.viewed;
});

// A form whose answer never came must not look as if nothing had been asked.
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(failure, (event) => {
    if (!event.detail.elt.matches("form")) return;
    const notice = Object.assign(document.createElement("p"), { className: "notice bad", role: "alert" });
    notice.textContent = "The server could not answer this. Nothing was saved: reload the page and try again.";
    event.detail.target.replaceChildren(notice);
  });
}

// A hidden or paused page asks for nothing, and a list stands still while something in it is open; but a live one
// goes on, since its rows are taken in one by one.
document.addEventListener("htmx:beforeRequest", (event) => {
  const target = event.target;
  const polls = (target.getAttribute("hx-trigger") || "").startsWith("every");
  const live = "live" in target.dataset;
  const still = live ? document.querySelector("[data-pause]:checked") : target.querySelector("details[open]");
  if (polls && (document.hidden || still)) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  if (!("live" in list.dataset)) return;
  const answer = new DOMParser().parseFromString(event.detail.serverResponse, "text/html");
  const [rows, fresh] = [list, answer].map((root) => root.querySelector(".entries"));
  if (!rows || !fresh) return;
  event.detail.shouldSwap = false;
  takeIn(rows, [...fresh.children]);
  const [pager, newer] = [list, answer].map((root) => root.querySelector(".pager"));
  if (pager && newer && !pager.contains(document.activeElement)) pager.replaceWith(newer);
});

// A row that is open, has the focus or is in sight stays, however many came after it.
function takeIn(rows, fresh) {
  const wanted = new Set(fresh.map((row) => row.id));
  [...rows.children].filter((row) => !wanted.has(row.id) && !isRead(row)).forEach((row) => row.remove());
  let place = rows.firstElementChild;
  for (const row of fresh) {
    const known = document.getElementById(row.id);
    if (known) {
      known.querySelector("time").textContent = row.querySelector("time").textContent;
      place = known.nextElementSibling;
    } else {
      row.classList.add("arrived");
      rows.insertBefore(row, place);
      htmx.process(row);
    }
  }
}

function isRead(row) {
  const { top, bottom } = row.getBoundingClientRect();
  return row.open || row.contains(document.activeElement) || (top < innerHeight && bottom > 0);
}
