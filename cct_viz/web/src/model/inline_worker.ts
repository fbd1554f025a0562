/**
 * A worker runs the page's own script once more: `cctExplorerScript` is the function around the built script
 * (vite.config.ts), and pages/page.ts sees that no page is there. So a page that is opened from disk fetches nothing, and
 * carries the model's code once.
 */

declare const cctExplorerScript: () => void;

export function createWorker(): Worker {
  const text = `URL.revokeObjectURL(location.href);(${String(cctExplorerScript)})()`;
  return new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
}
