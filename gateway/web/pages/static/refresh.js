// Brings the page up to date in place, without moving what somebody is reading or typing.
(() => {
  const main = () => document.querySelector("main[data-refresh]");
  const isBusy = () =>
    document.hidden ||
    // What the page itself shows open was opened by nobody.
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
        // The next turn tries again.
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
