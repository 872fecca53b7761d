// Buttons that copy, on the page of a call.
"use strict";

// A button copies its text, or what the server answers at an address, to the clipboard.
const COPIED_MILLISECONDS = 2_000;

async function textToCopy(button) {
  if (button.dataset.copy !== undefined) return button.dataset.copy;
  const response = await fetch(button.dataset.copyFrom, { signal: AbortSignal.timeout(REACH_MILLISECONDS) });
  if (!response.ok) throw new Error(String(response.status));
  return JSON.stringify(await response.json(), null, 2);
}

// Browsers have a clipboard only where a site is served over TLS; without it there is the old way.
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("not copied");
}

async function copy(button) {
  const answer = document.getElementById("copied").dataset;
  const label = button.dataset.label ??= button.textContent;
  let said = answer.done;
  try {
    await toClipboard(await textToCopy(button));
  } catch {
    said = answer.failed;
  }
  button.textContent = said;
  document.getElementById("copied").textContent = said;
  setTimeout(() => { button.textContent = label; }, COPIED_MILLISECONDS);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy], [data-copy-from]");
  if (button) copy(button);
});
