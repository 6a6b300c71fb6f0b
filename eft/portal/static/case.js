"use strict";
// Opens Transfer Files in a pop-up and says so where the browser blocks it; copies lines. Without this script the form opens a new tab.
const form = document.getElementById("transfer-form");
const blocked = document.getElementById("blocked");
form?.addEventListener("submit", (event) => {
  if (event.submitter?.getAttribute("formtarget") === "_self") return;
  const opened = window.open("", form.dataset.window, "popup,width=1000,height=760");
  if (!opened || opened.closed) {
    event.preventDefault();
    blocked.hidden = false;
    blocked.querySelector("button").focus();
    return;
  }
  blocked.hidden = true;
  form.target = form.dataset.window;
  opened.focus();
});

for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select the line and copy it";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 3000);
  });
}
