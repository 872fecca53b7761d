// Small comforts; every page works without them.
"use strict";

// A button that would lead to a page that asks first opens that question as a dialog.
document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-dialog]");
  const dialog = opener && document.getElementById(opener.dataset.dialog);
  if (dialog) {
    event.preventDefault();
    dialog.showModal();
  } else if (event.target.closest?.("[data-close]")) {
    event.preventDefault();
    event.target.closest("dialog").close();
  } else if (event.target.nodeName === "DIALOG") {
    event.target.close(); // a click on the backdrop
  }
});

// Whatever form is sent, in any window, finds a connection: the live pages let go of theirs. A stream of somebody who signs out is closed.
const windows = "BroadcastChannel" in window ? new BroadcastChannel("ringmaster") : null;
document.addEventListener("submit", (event) => {
  windows?.postMessage(event.target.getAttribute("action")?.endsWith("/logout") ? "sign-out" : "make way");
});

// A form is sent once: the second click of a double click does nothing.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-disabled", "true");
});

addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  }
});

// A filter takes effect when it is chosen; its button is for those without scripts.
for (const select of document.querySelectorAll("select[data-send]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

// Where a fetch of a filtered list fails, follow the link as any browser would.
document.addEventListener("htmx:error", (event) => {
  const link = event.target.closest?.("a[href]");
  if (link) location.assign(link.href);
});

document.querySelector("[data-focus]")?.focus();
