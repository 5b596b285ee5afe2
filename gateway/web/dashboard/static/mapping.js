// Shows at once what a choice becomes, and lists that were read while choices are not saved yet. Without this script
// the buttons "Show" and "Show the lists" do the same.
(() => {
  const PAUSE = 1000;
  const LONGEST_PAUSE = 15_000;
  let last = 0;

  const read = (form) => new URLSearchParams(new FormData(form));

  async function ask(form, body) {
    body.set("action", "preview");
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { Accept: "text/html" }, redirect: "error" });
    return answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  async function show(form) {
    const mine = ++last;
    try {
      const fresh = await ask(form, read(form));
      if (!fresh || mine !== last) return;
      for (const now of form.querySelectorAll("[data-live]")) {
        const then = fresh.getElementById(now.id);
        if (then && then.innerHTML !== now.innerHTML) now.innerHTML = then.innerHTML;
      }
    } catch {
      // The button shows it.
    }
  }

  // The form as it is, with the lists as they are by then: what is chosen or typed stays, and so do focus and open details.
  // A connection that is paused has them read later: it asks ever more seldom.
  async function takeLists(form, pause) {
    try {
      const sent = read(form);
      const then = (await ask(form, read(form)))?.getElementById("mapping");
      if (then && !then.hasAttribute("data-reading") && `${sent}` === `${read(form)}`) {
        const { id: focused, selectionStart: caret } = document.activeElement;
        const opened = [...form.querySelectorAll("details")].map((each) => each.open);
        form.innerHTML = then.innerHTML;
        form.querySelectorAll("details").forEach((each, nth) => (each.open = opened[nth]));
        const again = document.getElementById(focused);
        again?.focus();
        if (Number.isInteger(caret)) again?.setSelectionRange?.(caret, caret);
        document.querySelector("main > [role=status]")?.remove();
        document.querySelector("#news").textContent = document.querySelector("#lists + p").textContent;
        return;
      }
    } catch {
      // The next try may see them.
    }
    setTimeout(takeLists, pause, form, Math.min(2 * pause, LONGEST_PAUSE));
  }
  const waiting = document.querySelector("#mapping[data-reading]");
  if (waiting) setTimeout(takeLists, PAUSE, waiting, PAUSE);

  document.addEventListener("change", (event) => {
    const form = event.target.closest("#mapping");
    if (form) show(form);
  });
})();
