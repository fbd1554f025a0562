// Sentences that several components say.

import type { Verdict } from "../core/answer.ts";
import type { Session } from "../core/session.svelte.ts";
import { find, t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";

/** 10 -> "ten"; a number without a word stays a number. */
export const numberWord = (count: number): string => find(`number.${count}`) ?? `${count}`;

/** What stands beside the answer: "✓ right". */
export function pillOf(session: Session): string {
  const { trace, truth, verdict } = session;
  if (verdict === "wrong" && trace && truth !== null) return t("pill.wrong", { label: labelName(trace.labels[truth]) });
  return t(`pill.${verdict}`);
}

/** "none of the ten" */
export const badgeOf = (verdict: Verdict, classes: number): string =>
  t(`badge.${verdict}`, { classes: numberWord(classes) });
