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
    const button = event.submitter;
    if (button && button.dataset.busy) {
      [button.textContent, button.dataset.idle] = [button.dataset.busy, button.textContent];
    }
  });
}

// A user who stops the browser while it waits for the answer may send the form
// again.
window.navigation?.addEventListener("navigateerror", () => {
  for (const form of document.forms) form.classList.remove("sent");
  for (const button of document.querySelectorAll("[data-idle]")) button.textContent = button.dataset.idle;
});

// A page that the browser kept for its back button is out of date, and its form
// counts as sent. Reloading it could send the form again that it answered, so the
// address is opened anew. With a fragment that would only scroll.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  const address = new URL(window.location.href);
  address.hash = "";
  window.location.replace(address);
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
