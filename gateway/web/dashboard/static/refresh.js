// Brings the page up to date in place. What is the same stays the same node, so that focus, open details, marked
// text, places scrolled to and what is typed are kept. While that cannot be, or no answer comes, the page says so.
(() => {
  const PATIENCE = 20_000;
  const NEWS = "h1, h2, [data-news], .parked > li > p, .rows tbody tr";
  const MOST_NEWS = 2;
  const FIELDS = "input:not([type=hidden]), select, textarea";
  const main = document.querySelector("main");
  const stale = document.querySelector("#stale");
  let timer;
  let current = new Date();

  // What an element is: a row of a list is what it links to, whatever place it has.
  function key(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
    const own = (name) => node.getAttribute(name) || "";
    const row = ["TR", "LI"].includes(node.nodeName) && node.querySelector("a[href]")?.getAttribute("href");
    const says = ["BUTTON", "SUMMARY"].includes(node.nodeName) && node.textContent;
    return [node.nodeName, own("data-key") || node.id || row || says || own("href") || own("action") || own("name")].join(" ");
  }
  // The children of the fresh element, each with the one of this page that it stands for.
  function pair(now, fresh) {
    const known = {};
    for (const each of now.childNodes) (known[key(each)] ||= []).push(each);
    return [...fresh.childNodes].map((each) => [each, known[key(each)]?.shift()]);
  }
  // The node of the fresh page that a node of this page becomes.
  function twin(node, fresh) {
    if (node === main) return fresh;
    const parent = twin(node.parentNode, fresh);
    return parent && pair(node.parentNode, parent).find(([, same]) => same === node)?.[0];
  }

  // Something was typed or chosen and not sent yet.
  const isTyped = (each) =>
    each.options
      ? each.selectedIndex !== Math.max(0, [...each.options].findIndex((option) => option.defaultSelected))
      : each.checked !== each.defaultChecked ||
        // A tick without a value of its own says "on", which is no default.
        (!["checkbox", "radio"].includes(each.type) && each.value !== each.defaultValue);
  const isHeld = (each) => each === document.activeElement || isTyped(each);
  const isMarked = () => String(getSelection() || "") !== "" && main.contains(getSelection().anchorNode);
  const held = () => [...main.querySelectorAll(`${FIELDS}, :focus`)].filter((each) => !each.matches(FIELDS) || isHeld(each));

  function become(now, fresh) {
    if (now.nodeType !== Node.ELEMENT_NODE) {
      if (now.data !== fresh.data) now.data = fresh.data;
      return;
    }
    if (now.isEqualNode(fresh) || (now.matches(FIELDS) && isHeld(now))) return;
    const kept = now.hasAttribute("data-turned") ? ["open", "data-turned"] : [];
    for (const { name } of [...now.attributes]) if (!fresh.hasAttribute(name) && !kept.includes(name)) now.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (now.getAttribute(name) !== value && !kept.includes(name)) now.setAttribute(name, value);
    const pairs = pair(now, fresh);
    const staying = new Set(pairs.map(([, same]) => same));
    for (const each of [...now.childNodes]) if (!staying.has(each)) each.remove();
    let at = now.firstChild;
    for (const [each, same] of pairs) {
      // What has the focus is not moved, because it would lose it: the others are.
      while (same && at !== same && same.contains(document.activeElement)) {
        const next = at.nextSibling;
        now.append(at);
        at = next;
      }
      if (same && same === at) at = at.nextSibling;
      else now.insertBefore(same || document.importNode(each, true), at);
    }
    for (const [each, same] of pairs) if (same) become(same, each);
  }

  const texts = (page) => [...page.querySelectorAll(NEWS)].map((each) => each.textContent.replace(/\s+/g, " ").trim());
  function renewWith(fresh) {
    const said = new Set(texts(main));
    become(main, fresh);
    reveal();
    const news = texts(main).filter((text) => text && !said.has(text));
    if (news.length) document.querySelector("#news").textContent = news.slice(0, MOST_NEWS).join(". ");
  }

  async function renew() {
    clearTimeout(timer);
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
        const page = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page && page.querySelector("main");
        if (fresh && !isMarked() && held().every((each) => twin(each, fresh))) {
          renewWith(fresh);
          current = new Date();
        }
      } catch {
        // The next interval tries again.
      }
      tell();
    }
    plan();
  }

  function tell() {
    const isOld = new Date() - current > Math.max(PATIENCE, 3000 * Number(main.dataset.refresh));
    if (isOld === !stale.hidden) return;
    stale.querySelector("time").textContent = current.toLocaleTimeString(document.documentElement.lang);
    stale.hidden = !isOld;
  }

  function plan() {
    if (main.dataset.refresh) timer = setTimeout(renew, Number(main.dataset.refresh) * 1000);
  }

  // What was typed in one form of a page is kept while another of its forms is sent, or another page is looked at; and
  // all that stands in a page's forms while another language is chosen. Passwords are not.
  const drafts = main.dataset.drafts && `drafts ${main.dataset.drafts}`;
  const OF_LANGUAGE = "drafts of a language";
  let sent;
  const isSwitch = (each) => ["checkbox", "radio"].includes(each.type);
  function keepDrafts(name, isDraft) {
    const kept = [...main.querySelectorAll(FIELDS)].filter((each) => each.id && each.type !== "password" && isDraft(each));
    sessionStorage.setItem(name, JSON.stringify(kept.map((each) => [each.id, isSwitch(each) ? each.checked : each.value])));
  }
  function takeDrafts(name) {
    for (const [id, value] of JSON.parse(sessionStorage.getItem(name) || "[]")) {
      const field = document.getElementById(id);
      if (field?.matches(FIELDS)) field[isSwitch(field) ? "checked" : "value"] = value;
    }
    sessionStorage.removeItem(name);
  }
  if (drafts) takeDrafts(drafts);
  takeDrafts(OF_LANGUAGE);
  document.addEventListener("submit", (event) => {
    sent = event.target;
    if (sent.matches(".languages form")) keepDrafts(OF_LANGUAGE, () => true);
  });
  if (drafts) addEventListener("pagehide", () => keepDrafts(drafts, (each) => each.form !== sent && isTyped(each)));

  function reveal() {
    for (const button of main.querySelectorAll("[data-print]")) button.hidden = false;
  }

  document.addEventListener("visibilitychange", () => main.dataset.refresh && renew());
  document.addEventListener("click", (event) => {
    event.target.closest("main summary")?.parentElement.setAttribute("data-turned", "");
    if (event.target.closest("[data-print]")) print();
  });
  reveal();
  plan();
})();
