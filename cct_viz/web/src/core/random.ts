/**
 * A random order of `values`, the same for a seed in every browser: Fisher and Yates's shuffle with Marsaglia's
 * xorshift generator of 32 bits.
 */
export function shuffle(values: ArrayLike<number>, seed: number): Float64Array {
  const order = Float64Array.from(values);
  let state = Math.imul(seed + 1, 2654435761) >>> 0 || 1; // at 0 the generator would stay there
  for (let i = order.length - 1; i > 0; i--) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    const j = state % (i + 1);
    const kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  return order;
}
