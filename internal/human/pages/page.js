"use strict";

// A double click must not send a form twice: the browser would drop the answer
// to the first, which may be the only one that shows the token.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.classList.contains("sent")) {
      event.preventDefault();
      return;
    }
    form.classList.add("sent");
    const busy = event.submitter && event.submitter.dataset.busy;
    if (busy) event.submitter.textContent = busy;
  });
}

// A page that the browser kept for its back button shows what was, and its form
// counts as sent. It is asked for anew, not loaded again: that would send a form
// again that it came from.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.replace(window.location.href);
});

const value = document.getElementById("value");
if (value) {
  const copy = document.getElementById("copy");
  const said = document.getElementById("said");
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    value.select();
    let copied = true;
    try {
      await navigator.clipboard.writeText(value.value);
    } catch {
      copied = document.execCommand("copy");
    }
    said.textContent = copied ? "Copied" : "It is selected: copy it with the keyboard.";
  });
  value.addEventListener("focus", () => value.select());
  // No page that the browser keeps for the back button may still hold it.
  window.addEventListener("pagehide", () => value.remove());
}
