// Before the first paint: what this visitor chose.
let kept = {};
try { kept = { ...JSON.parse(localStorage.status) }; } catch {}
function paint() {
  const { theme, only } = kept, media = { dark: "all", light: "not all" }[theme];
  Object.assign(document.documentElement.dataset, { theme, only });
  document.querySelector("meta[media]").media = media ?? "(prefers-color-scheme: dark)";
}
paint();
// Closed groups are so as soon as they arrive.
new MutationObserver((records) => {
  for (const node of records.flatMap(({ addedNodes }) => [...addedNodes]))
    if (kept.closed?.includes?.(node.dataset?.name)) node.open = false;
}).observe(document, { childList: true, subtree: true });
