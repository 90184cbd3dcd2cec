// The side panel of the integration page: links marked data-panel open in it, beside what they belong to. A modal
// <dialog> keeps the page behind it inert and closes on Escape; without this file the links lead to pages of their own.
"use strict";

const panel = () => document.getElementById("panel");
let opener = null;
let asked = "";

// A form that is closed while the network is asked about it stays in here as it is, its token too: the asking goes on.
const kept = () => document.getElementById("kept");
let keptFrom = "";

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
  const isKept = kept().hasChildNodes() && asked === keptFrom;
  const inside = isKept ? kept().childNodes : [document.getElementById("panel-waiting").content.cloneNode(true)];
  if (isKept || !panel().open) panel().replaceChildren(...inside);
  if (!panel().open) {
    const menu = link.closest("details.menu");
    opener = menu ? menu.querySelector("summary") : link;
    if (menu) menu.open = false;
    panel().showModal();
  }
  if (isKept) return document.getElementById("panel-title").focus();
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
    if (panel().querySelector("form.htmx-request, #answer[hx-get]")) {
      kept().replaceChildren(...panel().childNodes);
      keptFrom = asked;
    }
    panel().replaceChildren();
    (opener?.isConnected ? opener : document.getElementById("main")).focus();
  },
  true,
);

// What the network says to a form that is closed is said on the page, with a way back to the form.
function tell() {
  const answer = kept()?.querySelector("#answer > .notice:not(.plain)");
  const line = document.getElementById("asked");
  const text = answer?.textContent ?? "";
  if (!line || (line.dataset.told ?? "") === text) return;
  line.dataset.told = text;
  line.replaceChildren();
  if (!answer) return;
  const notice = answer.cloneNode(true);
  notice.append(document.getElementById("way-back").content.cloneNode(true));
  notice.querySelector("[data-panel]").href = keptFrom;
  notice.querySelector("[data-forget]").hidden = Boolean(answer.parentNode.getAttribute("hx-get"));
  line.append(notice);
}

new MutationObserver(tell).observe(document.body, { childList: true, subtree: true });

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-forget]")) return;
  kept().replaceChildren();
  document.getElementById("main").focus();
});

// Accepted, it leads to the page anew: not while someone is writing here.
document.addEventListener("htmx:beforeRequest", (event) => {
  const isWriting = panel()?.open || document.activeElement.matches("input, select, textarea");
  if (isWriting && kept()?.contains(event.target)) event.preventDefault();
});

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
