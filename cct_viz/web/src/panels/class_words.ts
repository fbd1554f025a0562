// Classes in words.

import { argmax } from "../core/maths.ts";
import { t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import { percent } from "../i18n/numbers.ts";

/** "cat", or "cat over dog" where two classes are compared. */
export const nameOf = (labels: readonly string[], target: number, reference: number | null): string =>
  reference === null
    ? labelName(labels[target])
    : t("classes.over", { target: labelName(labels[target]), reference: labelName(labels[reference]) });

/** "cat falls from 97.4 % to 31.2 %, and dog wins": how a change moves the target and who wins. */
export function changeOf(
  labels: readonly string[],
  target: number,
  before: ArrayLike<number>,
  now: ArrayLike<number>,
): string {
  const from = percent(before[target]);
  const to = percent(now[target]);
  const way = from === to ? "stays" : now[target] > before[target] ? "rises" : "falls";
  const wins = argmax(now);
  const still = wins === argmax(before) ? "still" : "now";
  const moved = t(`change.${way}`, { label: labelName(labels[target]), from, to });
  return t(`change.${still}`, { moved, winner: labelName(labels[wins]) });
}
