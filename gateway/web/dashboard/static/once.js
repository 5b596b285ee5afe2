// Sends a form once. The answer to a second press would take the place of the first one's: a link that is shown only
// once, or a refusal because the work is done already.
(() => {
  const PAUSE = 5_000;
  let sent = new WeakMap();
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (Date.now() - sent.get(event.target) < PAUSE) event.preventDefault();
    else sent.set(event.target, Date.now());
  });
  addEventListener("pageshow", () => { sent = new WeakMap(); });
})();
