// Shows at once what a choice becomes. Without this script the button "Show" does the same.
(() => {
  let last = 0;

  async function show(form) {
    const mine = ++last;
    const body = new URLSearchParams(new FormData(form));
    body.set("action", "preview");
    try {
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok || mine !== last) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const now of form.querySelectorAll("[data-live]")) {
        const then = fresh.getElementById(now.id);
        if (then && then.innerHTML !== now.innerHTML) now.innerHTML = then.innerHTML;
      }
    } catch {
      // The button shows it.
    }
  }

  document.addEventListener("change", (event) => {
    const form = event.target.closest("#mapping");
    if (form) show(form);
  });
})();
