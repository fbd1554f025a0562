/** A `<main>` inside another one, as in the app, is no landmark of its own: a screen reader expects one a page. */
export function onlyMain(node: HTMLElement): void {
  if (node.parentElement?.closest("main")) node.role = "none";
}
