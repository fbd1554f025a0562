// What the stages of the drawing are called: as the stations that they open, and the pool by its kind.

import { find, t } from "../i18n/index.ts";
import type { Stage } from "./layout.ts";

/** "SeqPool", "Mean pool" … */
export const poolName = (pool: string): string => find(`hero.head.pool.${pool}`) ?? t("place.pool");

export const stageName = (stage: Exclude<Stage, "pool"> | "tokens"): string =>
  stage === "evidence" || stage === "sum" ? t(`hero.head.${stage}`) : t(`place.${stage}`);
