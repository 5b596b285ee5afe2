// A fault's line number puts the cursor there. Without this script the excerpt below it shows the same.
(() => {
  const show = (link) => {
    const box = document.getElementById("document");
    const lines = box.value.split("\n");
    const number = Number(link.dataset.line) - 1;
    const start = lines.slice(0, number).reduce((sum, line) => sum + line.length + 1, 0);
    box.focus();
    box.setSelectionRange(start, start + (lines[number] || "").length);
    box.scrollTop = (box.scrollHeight / lines.length) * Math.max(0, number - 4);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-line]");
    if (!link) return;
    event.preventDefault();
    show(link);
  });
})();
