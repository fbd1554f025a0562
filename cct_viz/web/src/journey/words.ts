// What the film says: the scenes' names, and one sentence a scene with the numbers of the shown picture.

import { argmax, effectiveTokens } from "../core/maths.ts";
import type { Session } from "../core/session.svelte.ts";
import { attentionRow } from "../hero/attention.ts";
import { isPatches } from "../hero/patches.ts";
import { ownPoolOf, poolingOf } from "../hero/pooling.ts";
import { poolName, stageName } from "../hero/stage_names.ts";
import { find, t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import { percent, signed } from "../i18n/numbers.ts";
import type { Trace } from "../model/trace.ts";
import type { FilmScene } from "./scenes.ts";

/** A scene's name: that of its stage in the drawing. */
export function nameOf({ name, layer }: FilmScene, pool: string, layers: number): string {
  if (name === "pool") return poolName(pool);
  return name === "attention" && layers > 1 ? t("journey.name.layer", { layer: layer + 1 }) : stageName(name);
}

/** `token`: the lit one. */
export function sentenceOf(session: Session, trace: Trace, token: number, { name, layer }: FilmScene): string {
  const { config, featureMaps, logits, labels } = trace,
    { target } = session,
    label = labelName(labels[target]),
    count = config.numTokens,
    first = featureMaps[0],
    last = featureMaps[featureMaps.length - 1];
  switch (name) {
    case "pixels": {
      const [height, width] = config.imageSize;
      return t("journey.pixels", { width, height, numbers: 3 * width * height });
    }
    case "convolution":
      return isPatches(trace)
        ? t("journey.patches", { maps: last.channels })
        : t("journey.convolution", { maps: first.channels, rows: first.height, columns: first.width });
    case "tokens":
      return t("journey.tokens", { count, dim: last.channels });
    case "attention": {
      const row = attentionRow(trace, layer, session.head, token + (config.hasClassToken ? 1 : 0));
      return t(layer ? "journey.attention.next" : "journey.attention", {
        layer: layer + 1,
        layers: config.numLayers,
        spread: effectiveTokens(row).toFixed(0),
        all: row.length,
      });
    }
    case "pool": {
      const share =
        poolingOf(trace, target)?.shares[token] ?? attentionRow(trace, config.numLayers - 1, null, 0)[token + 1];
      const values = { share: percent(share), count, dim: last.channels };
      const pool = trace.isRepooled ? null : ownPoolOf(trace);
      return (pool && find(`journey.pool.${pool}`, values)) ?? t("journey.pool.other", values);
    }
    case "sum":
      return t("journey.sum", {
        part: signed(poolingOf(trace, target)?.contributions[token] ?? 0),
        score: signed(logits[target]),
        label,
        count,
      });
    case "classes":
      return answer(session, trace);
  }
}

function answer({ verdict, truth }: Session, { config, labels, probabilities }: Trace): string {
  const best = argmax(probabilities),
    values = { label: labelName(labels[best]), share: percent(probabilities[best]), classes: labels.length },
    wrong =
      verdict === "wrong" && truth !== null
        ? ` ${t("journey.classes.wrong", { truth: labelName(labels[truth]) })}`
        : "";
  if (config.output === "sigmoid") return t("journey.classes.sigmoid", values) + wrong;
  return t(verdict === "other" ? "journey.classes.other" : "journey.classes", values) + wrong;
}
