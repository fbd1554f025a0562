// Sentences that several components say.

import type { Verdict } from "../core/answer.ts";
import type { Session } from "../core/session.svelte.ts";
import { answerBand, rightOf100 } from "../derive/bands.ts";
import { find, t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import { percent } from "../i18n/numbers.ts";

/** 10 -> "ten"; a number without a word stays a number. */
export const numberWord = (count: number): string => find(`number.${count}`) ?? `${count}`;

/** What stands beside the answer: "✓ right". */
export function pillOf(session: Session): string {
  const { trace, truth, verdict } = session;
  if (verdict === "wrong" && trace && truth !== null) return t("pill.wrong", { label: labelName(trace.labels[truth]) });
  return t(`pill.${verdict}`);
}

/** What the answer's probability is worth; null where too few validation images tell, or something is changed. */
export function worthOf({ trace, truth, shownModel, isChanged }: Session): string | null {
  if (!trace || isChanged) return null;
  const band = answerBand(shownModel?.metrics?.bands, trace.probabilities),
    right = rightOf100(band);
  if (!band || right === null) return null;
  const worth = t("bands.answer", { low: percent(band.low, 0), high: percent(band.high, 0), right });
  return truth === null ? t("bands.other", { worth, classes: numberWord(trace.labels.length) }) : worth;
}

/** "none of the ten" */
export const badgeOf = (verdict: Verdict, classes: number): string =>
  t(`badge.${verdict}`, { classes: numberWord(classes) });
