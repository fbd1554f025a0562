// Photos that come into the page: dropped or pasted anywhere.

import type { Session } from "../core/session.svelte.ts";
import { t } from "../i18n/index.ts";
import type { Key } from "../i18n/language.svelte.ts";

/** "IMG_2041" of IMG_2041.jpg; what was pasted has no name of its own. */
export function nameOf(file: Blob): string {
  const name = file instanceof File ? file.name.replace(/\.\w+$/, "") : "";
  return name || t("photo.own");
}

const isTyping = (event: Event): boolean =>
  event.composedPath().some((element) => element instanceof Element && element.matches("input, textarea"));

/**
 * Take what is dropped on or pasted into the page. `over` is told whether files are being dragged.
 * @returns what ends it
 */
export function takeAnywhere(session: Session, over: (dragged: boolean) => void): () => void {
  const ending = new AbortController(),
    { signal } = ending;
  const take = (files: FileList | undefined, missing: Key): void => {
    const file = files?.[0];
    if (file) void session.takePhoto(file, () => nameOf(file));
    else session.say("problem", () => t(missing));
  };
  addEventListener(
    "dragover",
    (event) => {
      event.preventDefault();
      over(event.dataTransfer?.types.includes("Files") ?? false);
    },
    { signal },
  );
  addEventListener("dragleave", (event) => !event.relatedTarget && over(false), { signal });
  addEventListener(
    "drop",
    (event) => {
      event.preventDefault();
      over(false);
      take(event.dataTransfer?.files, "photo.noFile");
    },
    { signal },
  );
  addEventListener(
    "paste",
    (event) => {
      if (!isTyping(event)) take(event.clipboardData?.files, "photo.noPicture");
    },
    { signal },
  );
  return () => ending.abort();
}
