// Sentences that the parts of the card share.

import type { Course } from "../core/state.svelte.ts";
import { t } from "../i18n/index.ts";
import type { Trace } from "../model/trace.ts";
import type { Answer } from "./score.ts";

export const placeWords = ({ grid: { columns } }: Trace, token: number): string =>
  t("equation.place", { row: Math.floor(token / columns) + 1, column: (token % columns) + 1 });

/** "Tour, step 2 of 6", or "Tour, done" after the last one. */
export const whereWords = (course: Course, index: number, count: number): string =>
  index < count
    ? t("lesson.where", { course: t(`lesson.course.${course}`), n: index + 1, count })
    : t("lesson.where.end", { course: t(`lesson.course.${course}`) });

/** How a question went, for the sheet. */
export function resultWords(answer: Answer | undefined): string {
  if (!answer) return t("lesson.sheet.none");
  const count = answer.given.length;
  if (!answer.right) return t("lesson.sheet.wrong", { count });
  return count === 1 ? t("lesson.sheet.right") : t("lesson.sheet.rightAfter", { count });
}
