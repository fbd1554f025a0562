// What the page computes itself. Everything here is linear but softmax, and agrees with the Python functions of the same
// names in cct_viz/explain.

export const sum = (values) => { let total = 0; for (const v of values) total += v; return total; };
export const mean = (values) => sum(values) / values.length;
export const maximum = (values) => { let top = -Infinity; for (const v of values) if (v > top) top = v; return top; };
export const minimum = (values) => { let low = Infinity; for (const v of values) if (v < low) low = v; return low; };
/** The largest distance from 0. */
export const extent = (values) => { let top = 0; for (const v of values) { const a = Math.abs(v); if (a > top) top = a; } return top; };
export const argmax = (values) => { let best = 0; for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i; return best; };
/** Indices, the largest value first. */
export const descending = (values) => Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b);

export function softmax(scores, beta = 1) {
  const top = maximum(Array.from(scores, (s) => beta * s));
  const raised = Float64Array.from(scores, (s) => Math.exp(beta * s - top));
  const total = sum(raised);
  return raised.map((v) => v / total);
}

/** exp(entropy): the number of tokens that an equally spread map would cover. */
export function effectiveTokens(share) {
  const total = sum(share);
  if (!(total > 0)) return 0;
  let entropy = 0;
  for (const v of share) if (v > 0) entropy -= (v / total) * Math.log(v / total);
  return Math.exp(entropy);
}

/** y_c = b_c + sum_t w_t e_tc. @returns {Float64Array} (K,) */
export function pool(weights, evidence, bias) {
  const k = bias.length, logits = Float64Array.from(bias);
  for (let t = 0; t < weights.length; t++) {
    const w = weights[t];
    if (w) for (let c = 0; c < k; c++) logits[c] += w * evidence[t * k + c];
  }
  return logits;
}

/**
 * What one class has over another in an (N, K) table; `b` null stands for the mean class where classes compete
 * (`exclusive`), and for nothing where each has a probability of its own.
 * @returns {Float64Array} (N,)
 */
export function contrast(table, k, a, b, exclusive = true) {
  const n = table.length / k, row = new Float64Array(n);
  for (let t = 0; t < n; t++) {
    let other = 0;
    if (b === null && !exclusive) { row[t] = table[t * k + a]; continue; }
    if (b === null) { for (let c = 0; c < k; c++) other += table[t * k + c]; other /= k; } else other = table[t * k + b];
    row[t] = table[t * k + a] - other;
  }
  return row;
}

/** Row vector times (M, M) matrix. */
export function through(row, matrix) {
  const m = row.length, out = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    const r = row[i];
    if (r) for (let j = 0, at = i * m; j < m; j++) out[j] += r * matrix[at + j];
  }
  return out;
}

/** Row vector times (1 - alpha) I + alpha A, alpha one number for each query. */
export function mixThrough(row, attention, alpha) {
  const moved = through(Float64Array.from(row, (v, i) => v * alpha[i]), attention);
  return moved.map((v, i) => v + row[i] * (1 - alpha[i]));
}
