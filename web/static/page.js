// Enhancements; every page works without them.
"use strict";

// A button that leads to a page with a question opens the question as a dialog instead.
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

// When a form is sent, in any window, the live pages free their connections for it. Signing out closes the event stream.
const windows = "BroadcastChannel" in window ? new BroadcastChannel("ringmaster") : null;
document.addEventListener("submit", (event) => {
  windows?.postMessage(event.target.getAttribute("action")?.endsWith("/logout") ? "sign-out" : "yield connections");
});

// A form is sent once: the second click of a double click is ignored.
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

// A filter takes effect when it is chosen; its button is for browsers without scripts.
for (const select of document.querySelectorAll("select[data-send]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

// If fetching a filtered list fails, follow the link instead.
document.addEventListener("htmx:error", (event) => {
  const link = event.target.closest?.("a[href]");
  if (link) location.assign(link.href);
});

document.querySelector("[data-focus]")?.focus();
