// The address that a QR code carries, and whether a phone can open it.

/** Hosts that are the visitor's own computer. */
const OWN = /^(localhost|.*\.localhost|127(\.\d+){3}|0\.0\.0\.0|\[::1?\])$/;

/** Whether others can open this page: not from disk, not a notebook's cell, not a server of this computer alone. */
export const isShared = ({ protocol, hostname }: Pick<URL, "protocol" | "hostname">): boolean =>
  /^https?:$/.test(protocol) && !OWN.test(hostname);

/** The page with these choices, but not as the presenter shows it: a phone gets its own page. */
export function phoneAddress(page: string, hash: string): string {
  const address = new URL(page),
    words = new URLSearchParams(hash);
  words.delete("presenter");
  address.hash = words.toString();
  return address.href;
}
