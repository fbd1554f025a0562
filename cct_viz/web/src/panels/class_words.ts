// Classes in words.

import { t } from "../i18n/index.ts";

/** "cat", or "cat over dog" where two classes are compared. */
export const nameOf = (labels: readonly string[], target: number, reference: number | null): string =>
  reference === null ? labels[target] : t("classes.over", { target: labels[target], reference: labels[reference] });
