// Which tokens see a pixel.

import type { Trace } from "../model/trace.ts";

/** Tokens whose windows hold a pixel. */
export function tokensAt({ receptiveFields, config }: Trace, y: number, x: number): number[] {
  return Array.from({ length: config.numTokens }, (_, token) => token).filter((token) => {
    const [y0, x0, y1, x1] = receptiveFields.subarray(4 * token, 4 * token + 4);
    return y0 <= y && y < y1 && x0 <= x && x < x1;
  });
}

/** Of the tokens that see a point, the one whose centre is nearest; null where no token sees it. */
export function nearestToken(trace: Trace, y: number, x: number): number | null {
  const { centres } = trace.stages[trace.stages.length - 1];
  const distance = (token: number): number => (centres[2 * token] - y) ** 2 + (centres[2 * token + 1] - x) ** 2;
  const seers = tokensAt(trace, Math.floor(y), Math.floor(x));
  return seers.length ? seers.reduce((best, token) => (distance(token) < distance(best) ? token : best)) : null;
}
