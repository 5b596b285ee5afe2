// Brings the page up to date in place, without moving what somebody is reading, typing or about to press.
(() => {
  const main = () => document.querySelector("main[data-refresh]");
  // Something was typed or chosen and not sent yet.
  const isTyped = (each) =>
    each.options
      ? each.selectedIndex !== Math.max(0, [...each.options].findIndex((option) => option.defaultSelected))
      : each.checked !== each.defaultChecked ||
        // A tick without a value of its own says "on", which is no default.
        (!["checkbox", "radio"].includes(each.type) && each.value !== each.defaultValue);
  const isBusy = () =>
    document.hidden ||
    [...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea")].some(isTyped) ||
    // Details that the page renders open were not opened by the visitor.
    document.querySelector("main details[open]:not([data-open])") !== null ||
    (document.activeElement && document.activeElement.matches("main input, main select, main textarea")) ||
    String(getSelection() || "") !== "";

  // The place of the focused element among those of its kind, and what it says: the same one gets the focus again.
  const focused = () => {
    const held = document.activeElement;
    return held && held.closest("main") ? { kind: held.tagName, says: held.textContent, to: held.getAttribute("href") } : null;
  };
  const find = (page, held) =>
    [...page.querySelectorAll(held.kind)].find(
      (each) => each.textContent === held.says && each.getAttribute("href") === held.to,
    );

  function replace(now, fresh) {
    const held = focused();
    const same = held && find(fresh, held);
    if (held && !same) return;
    const said = now.querySelector("h1")?.textContent;
    now.replaceWith(fresh);
    same?.focus({ preventScroll: true });
    const says = fresh.querySelector("h1")?.textContent;
    const news = document.querySelector("#news");
    if (news && says !== said) news.textContent = says;
  }

  async function renew() {
    const now = main();
    if (!now) return;
    if (!isBusy()) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
        if (answer.ok) {
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
          if (fresh && !isBusy()) replace(now, fresh);
        }
      } catch {
        // The next interval tries again.
      }
    }
    plan();
  }

  function plan() {
    const now = main();
    if (now) setTimeout(renew, Number(now.dataset.refresh) * 1000);
  }

  plan();
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }
})();
