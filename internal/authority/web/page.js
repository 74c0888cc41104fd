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
  });
}

// Whoever stops the browser while it waits for the answer may send the form
// again.
window.navigation?.addEventListener("navigateerror", () => {
  for (const form of document.forms) form.classList.remove("sent");
});

// A page that the browser kept for its back button shows what was, not what is.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
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
