/** Sizes, and vectors of four float32 lanes. */

export const LANES: usize = 4;
export const FLOAT: usize = 4; // bytes
export const VECTOR: usize = LANES * FLOAT;
/** Columns of a panel: two vectors. */
export const WIDE: usize = 8;
export const PANEL_ROW: usize = WIDE * FLOAT;

export function splat(value: f32): v128 {
  return f32x4.splat(value);
}

/** a b + c */
export function fuse(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}
