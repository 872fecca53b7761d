// Helps with a list of people: pasted columns keep their order, and an upload shows how far it is. Without this script the browser does both its way.
"use strict";

const RIGHT_TO_LEFT = /[\u0590-\u08ff]/;

// Between words that run from right to left a comma does not keep columns apart on the screen; a tab does. Only where nothing is quoted, and
// every line has as many: then no cell can contain one.
function withTabs(text) {
  if (!RIGHT_TO_LEFT.test(text) || /["\t]/.test(text)) return text;
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  for (const mark of [",", ";"]) {
    const counts = new Set(lines.map((line) => line.split(mark).length));
    if (counts.size === 1 && !counts.has(1)) return text.replaceAll(mark, "\t");
  }
  return text;
}

// On the document, since the form is replaced when the server answers with a mistake.
document.addEventListener("paste", (event) => {
  const box = event.target.closest?.("textarea.pasted");
  if (!box) return;
  const text = event.clipboardData.getData("text/plain");
  const shown = withTabs(text);
  if (shown === text) return;
  event.preventDefault();
  box.setRangeText(shown, box.selectionStart, box.selectionEnd, "end");
});

// page.js listens on the document too, and earlier: it has prevented a form that is not to be sent.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("upload" in form.dataset) || event.defaultPrevented) return;
  event.preventDefault();
  const place = form.querySelector(".upload");
  const bar = place.querySelector("progress");
  const text = place.querySelector("output");
  place.hidden = false;
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.responseType = "document";
  request.setRequestHeader("Accept", "text/html");
  request.upload.addEventListener("progress", (step) => {
    if (!step.lengthComputable) return;
    bar.value = (100 * step.loaded) / step.total;
    text.textContent = `${Math.floor(bar.value)} %`;
    // All has arrived: now the server reads it.
    if (step.loaded === step.total) bar.removeAttribute("value");
  });
  request.addEventListener("load", () => {
    const main = request.response?.querySelector("main");
    // An answer that leads nowhere else is this page with what was wrong, or with what became of the file.
    if (!main || (request.status < 400 && request.responseURL !== form.action)) return location.assign(request.responseURL);
    document.querySelector("main").replaceWith(document.adoptNode(main));
    const first = main.querySelector("[data-focus], [aria-invalid]");
    first?.focus();
    first?.scrollIntoView({ block: "nearest" });
  });
  request.addEventListener("error", () => {
    place.hidden = true;
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
    showNotSent();
  });
  request.send(new FormData(form));
});
