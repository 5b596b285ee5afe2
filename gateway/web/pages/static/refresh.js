// Brings the page up to date in place, without moving what somebody is reading or typing.
(() => {
  const main = () => document.querySelector("main[data-refresh]");
  const isBusy = () =>
    document.hidden ||
    // Details that the page renders open were not opened by the visitor.
    document.querySelector("main details[open]:not([data-open])") !== null ||
    (document.activeElement && document.activeElement.matches("main input, main select, main textarea")) ||
    String(getSelection() || "") !== "";

  async function renew() {
    const now = main();
    if (!now) return;
    if (!isBusy()) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
        if (answer.ok) {
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
          if (fresh && !isBusy()) now.replaceWith(fresh);
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
})();
