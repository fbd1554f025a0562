// What an open station is headed with.

import type { Session } from "../core/session.svelte.ts";
import type { Place } from "../core/state.svelte.ts";
import { ownPoolOf } from "../hero/pooling.ts";
import { find, t } from "../i18n/index.ts";

export function titleOf(session: Session, place: Place): string {
  const { trace, layer } = session;
  if (place === "attention") return t("title.attention", { layer: layer + 1 });
  if (place === "pool") return (ownPoolOf(trace) && find(`pool.${ownPoolOf(trace)}.title`)) ?? t("place.pool");
  return t(`title.${place}`);
}

/** "row 3, column 2" of a token, counted from 1. */
export const placeOf = (token: number, columns: number): string =>
  t("token.place", { row: Math.floor(token / columns) + 1, column: (token % columns) + 1 });

/** The same text with a capital at its start. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
