// Copies an address. Without this script it can be marked and copied by hand.
(() => {
  if (!navigator.clipboard) return;
  document.documentElement.classList.add("can-copy");
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      document.getElementById("news").textContent = button.dataset.done;
    } catch {
      // It is marked: the keyboard copies it.
    }
  });
})();
