// The address of what is shown.

import type { Session } from "../core/session.svelte.ts";

/** Whether the page has an address that opens it again; a frame in a notebook's cell has none. */
export const hasAddress = (): boolean => location.protocol !== "about:";

/** The page's address with every choice in it. */
export function linkOf(session: Session): string {
  const address = new URL(location.href);
  address.hash = session.hash;
  return address.href;
}

/** Whether the address reached the clipboard; a browser may refuse. */
export async function copyLink(session: Session): Promise<boolean> {
  return copyText(linkOf(session));
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
