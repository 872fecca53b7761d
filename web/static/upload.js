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

for (const box of document.querySelectorAll("textarea.pasted")) {
  box.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text/plain");
    const shown = withTabs(text);
    if (shown === text) return;
    event.preventDefault();
    box.setRangeText(shown, box.selectionStart, box.selectionEnd, "end");
  });
}

for (const form of document.querySelectorAll("form[data-upload]")) {
  const place = form.querySelector(".upload");
  const bar = place.querySelector("progress");
  const text = place.querySelector("output");

  // page.js sends a form once the server can be reached, and marks it then.
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent !== "now") return;
    event.preventDefault();
    place.hidden = false;
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.upload.addEventListener("progress", (step) => {
      if (!step.lengthComputable) return;
      bar.value = (100 * step.loaded) / step.total;
      text.textContent = `${Math.floor(bar.value)} %`;
      // All has arrived: now the server reads it.
      if (step.loaded === step.total) bar.removeAttribute("value");
    });
    request.addEventListener("load", () => {
      if (request.status < 400) return location.assign(request.responseURL);
      document.open();
      document.write(request.responseText);
      document.close();
    });
    request.addEventListener("error", () => {
      place.hidden = true;
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
    });
    request.send(new FormData(form));
  });
}
