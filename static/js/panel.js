// The side panel of the integration page, a modal <dialog>: links with data-panel open in it. Without this file they
// open separate pages.
"use strict";

const panel = () => document.getElementById("panel");
let opener = null;
let panelUrl = "";

// A form that is closed during the check of its credential is moved here unchanged, so that the check continues.
const pendingForm = () => document.getElementById("kept");
let pendingFormUrl = "";

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-panel]");
  const opensElsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (link && panel() && !opensElsewhere) {
    event.preventDefault();
    open(link);
  } else if (panel()?.open && (event.target.closest("[data-close]") || isOutsideWithoutForm(event))) {
    event.preventDefault();
    panel().close();
  }
});

// The browser's Back closes the panel: an open one has an entry of its own in the history. htmx must not hear of it, since
// it would load the page again.
const isPanelEntry = () => Boolean(history.state?.panel);
let wasPanelEntry = isPanelEntry();

addEventListener("popstate", (event) => {
  if (wasPanelEntry || isPanelEntry()) event.stopImmediatePropagation();
  wasPanelEntry = isPanelEntry();
  if (panel()?.open && !wasPanelEntry) panel().close();
});

function open(link) {
  panelUrl = link.href;
  if (!isPanelEntry()) history.pushState({ panel: panelUrl }, "");
  wasPanelEntry = true;
  const isPending = pendingForm().hasChildNodes() && panelUrl === pendingFormUrl;
  const loading = document.getElementById("panel-waiting").content.cloneNode(true);
  const content = isPending ? pendingForm().childNodes : [loading];
  if (isPending || !panel().open) panel().replaceChildren(...content);
  if (!panel().open) {
    const menu = link.closest("details.menu");
    opener = menu ? menu.querySelector("summary") : link;
    if (menu) menu.open = false;
    panel().showModal();
  }
  if (isPending) return document.getElementById("panel-title").focus();
  htmx.ajax("GET", panelUrl, { target: "#panel", swap: "innerHTML" });
}

// A click outside the panel closes it, unless it has a form, whose input would be lost.
function isOutsideWithoutForm(event) {
  return event.target === panel() && !panel().querySelector("form");
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target !== panel()) return;
  if (panel().open) document.getElementById("panel-title").focus();
  else panel().replaceChildren(); // closed before the response arrived
});

// The separate page shows the error.
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(failure, (event) => {
    if (event.detail.target === panel()) location.assign(panelUrl);
  });
}

document.addEventListener("htmx:afterSettle", () => {
  if (panel()?.open) panel().querySelector("#answer .notice:not(.plain)")?.scrollIntoView({ block: "nearest" });
});

// "close" does not bubble, so that this listens in the capture phase. The content is removed, so that it stops polling.
document.addEventListener(
  "close",
  (event) => {
    if (event.target !== panel()) return;
    if (panel().querySelector("form.htmx-request, #answer[hx-get]")) {
      pendingForm().replaceChildren(...panel().childNodes);
      pendingFormUrl = panelUrl;
    }
    panel().replaceChildren();
    if (isPanelEntry()) history.back();
    (opener?.isConnected ? opener : document.getElementById("main")).focus();
  },
  true,
);

// Shows the network's answer to a closed form on the page, with a link back to the form.
function showPendingAnswer() {
  const answer = pendingForm()?.querySelector("#answer > .notice:not(.plain)");
  const line = document.getElementById("asked");
  const text = answer?.textContent ?? "";
  if (!line || (line.dataset.told ?? "") === text) return;
  line.dataset.told = text;
  line.replaceChildren();
  if (!answer) return;
  const notice = answer.cloneNode(true);
  notice.append(document.getElementById("way-back").content.cloneNode(true));
  notice.querySelector("[data-panel]").href = pendingFormUrl;
  notice.querySelector("[data-forget]").hidden = Boolean(answer.parentNode.getAttribute("hx-get"));
  line.append(notice);
}

new MutationObserver(showPendingAnswer).observe(document.body, { childList: true, subtree: true });

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-forget]")) return;
  pendingForm().replaceChildren();
  document.getElementById("main").focus();
});

// A closed form whose credential was accepted reloads the page, but not while the user is typing.
document.addEventListener("htmx:beforeRequest", (event) => {
  const isTyping = panel()?.open || document.activeElement.matches("input, select, textarea");
  if (isTyping && pendingForm()?.contains(event.target)) event.preventDefault();
});

// A list does not refresh while it is in use, or while a refresh would move what is visible.
document.addEventListener("htmx:beforeRequest", (event) => {
  const list = event.target;
  if ("calm" in list.dataset && isInUse(list)) event.preventDefault();
});

function isInUse(list) {
  const selection = getSelection();
  const isSelected = !selection.isCollapsed && list.contains(selection.anchorNode);
  return panel()?.open || isSelected || list.contains(document.activeElement) || list.getBoundingClientRect().top < 0;
}

let previousIds = null;
const rowsOf = (list) => [...list.querySelectorAll("tr[id]")];

document.addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  previousIds = list.id === "rows" ? new Set(rowsOf(list).map((row) => row.id)) : null;
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (!previousIds || event.detail.target.id !== "rows") return;
  const fresh = rowsOf(event.detail.target).filter((row) => !previousIds.has(row.id));
  fresh.forEach((row) => row.classList.add("arrived"));
  if (fresh.length) {
    const count = fresh.length === 1 ? "1 new attempt" : `${fresh.length} new attempts`;
    document.getElementById("news").textContent = `${count} in the delivery log.`;
  }
});
