// Files that are dropped anywhere on the page.

/** Calls `take` with each file; `shade` is shown while one is held over the page. */
export function onDrop(shade, take) {
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const over = (by) => (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = Math.max(0, depth + by);
    shade.hidden = depth === 0;
  };
  document.addEventListener("dragenter", over(1));
  document.addEventListener("dragleave", over(-1));
  document.addEventListener("dragover", over(0));
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    shade.hidden = true;
    for (const file of event.dataTransfer.files) await take(file);
  });
}
