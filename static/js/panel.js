// The side panel of the integration page: links marked data-panel open in it, beside what they belong to. A modal
// <dialog> keeps the page behind it inert and closes on Escape; without this file the links lead to pages of their own.
"use strict";

const panel = () => document.getElementById("panel");
let opener = null;
let asked = "";

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-panel]");
  const elsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (link && panel() && !elsewhere) {
    event.preventDefault();
    open(link);
  } else if (panel()?.open && (event.target.closest("[data-close]") || isBesideReading(event))) {
    event.preventDefault();
    panel().close();
  }
});

function open(link) {
  asked = link.href;
  if (!panel().open) {
    const menu = link.closest("details.menu");
    opener = menu ? menu.querySelector("summary") : link;
    if (menu) menu.open = false;
    panel().replaceChildren(document.getElementById("panel-waiting").content.cloneNode(true));
    panel().showModal();
  }
  htmx.ajax("GET", asked, { target: "#panel", swap: "innerHTML" });
}

// A click beside the panel closes it, but for a form: what was typed there would be lost.
function isBesideReading(event) {
  return event.target === panel() && !panel().querySelector("form");
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target !== panel()) return;
  if (panel().open) document.getElementById("panel-title").focus();
  else panel().replaceChildren(); // closed before the answer came
});

// Its page of its own says what is wrong.
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(failure, (event) => {
    if (event.detail.target === panel()) location.assign(asked);
  });
}

document.addEventListener("htmx:afterSettle", () => {
  if (panel()?.open) panel().querySelector("#answer .notice:not(.plain)")?.scrollIntoView({ block: "nearest" });
});

// "close" does not bubble. What was in the panel goes, so that nothing in it asks for more.
document.addEventListener(
  "close",
  (event) => {
    if (event.target !== panel()) return;
    panel().replaceChildren();
    if (opener?.isConnected) opener.focus();
  },
  true,
);

// What refreshes itself stands still while someone is in it, or while it would move what is being read.
document.addEventListener("htmx:beforeRequest", (event) => {
  const list = event.target;
  if ("calm" in list.dataset && isInUse(list)) event.preventDefault();
});

function isInUse(list) {
  const selection = getSelection();
  const marked = !selection.isCollapsed && list.contains(selection.anchorNode);
  return panel()?.open || marked || list.contains(document.activeElement) || list.getBoundingClientRect().top < 0;
}

let known = null;
const rowsOf = (list) => [...list.querySelectorAll("tr[id]")];

document.addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  known = list.id === "rows" ? new Set(rowsOf(list).map((row) => row.id)) : null;
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (!known || event.detail.target.id !== "rows") return;
  const fresh = rowsOf(event.detail.target).filter((row) => !known.has(row.id));
  fresh.forEach((row) => row.classList.add("arrived"));
  if (fresh.length) {
    const words = fresh.length === 1 ? "1 new attempt" : `${fresh.length} new attempts`;
    document.getElementById("news").textContent = `${words} in the delivery log.`;
  }
});
