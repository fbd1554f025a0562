// Attention as the drawing needs it: one query's row at a time, and its strongest keys.

import type { Trace } from "../model/trace.ts";

export interface Key {
  /** Encoder row of the key. */
  readonly row: number;
  /** Share of the query's attention, 0 to 1. */
  readonly share: number;
}

/** (M,) the attention of encoder row `query` in a layer: of one head, or with `head` null the mean of the heads. */
export function attentionRow(trace: Trace, layer: number, head: number | null, query: number): Float64Array {
  const { sequenceLength: m, numHeads } = trace.config,
    row = new Float64Array(m);
  const add = (table: ArrayLike<number>, start: number, factor: number): void => {
    for (let s = 0; s < m; s++) row[s] = (row[s] ?? 0) + factor * (table[start + s] ?? 0);
  };
  if (trace.attentions) {
    const heads = head === null ? Array.from({ length: numHeads }, (_, h) => h) : [head];
    for (const h of heads) add(trace.attentions, ((layer * numHeads + h) * m + query) * m, 1 / heads.length);
  } else if (trace.fused) add(trace.fused.mean, (layer * m + query) * m, 1);
  return row;
}

/** The `count` largest entries of a row, the largest first. */
export function strongestKeys(row: ArrayLike<number>, count: number): Key[] {
  const best: Key[] = [];
  for (let s = 0; s < row.length; s++) {
    const share = row[s] ?? 0;
    if (best.length === count && share <= (best[count - 1]?.share ?? 0)) continue;
    let at = best.length;
    while (at > 0 && (best[at - 1]?.share ?? 0) < share) at--;
    best.splice(at, 0, { row: s, share });
    if (best.length > count) best.pop();
  }
  return best;
}

/** For each of M queries its `count` strongest keys. */
export function strongestOfAll(trace: Trace, layer: number, head: number | null, count: number): Key[][] {
  return Array.from({ length: trace.config.sequenceLength }, (_, query) =>
    strongestKeys(attentionRow(trace, layer, head, query), count),
  );
}
