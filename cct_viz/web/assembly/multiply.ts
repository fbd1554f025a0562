/**
 * The product of matrices, in which a pass spends nearly all of its time. Built twice: as a part of kernels.ts, and alone
 * with fused multiply-add ("relaxed SIMD"), which replaces that part where the browser has it.
 */

import { FLOAT, fuse, LANES, PANEL_ROW, VECTOR, WIDE } from "./vectors";

/**
 * out = a b + bias, with b as `pack` left it. a is (rows, inner), out (rows, columns); each row lies `aDown` or `outDown`
 * floats after the one before. Four rows by eight columns at a time: their sums stay in eight registers, and a panel in
 * the innermost cache. Rows beyond the last are the last again, which computes and stores it more than once.
 */
export function multiply(
  a: usize,
  aDown: usize,
  rows: usize,
  inner: usize,
  panels: usize,
  out: usize,
  outDown: usize,
  columns: usize,
): void {
  const last = rows - 1;
  const aNext = aDown * FLOAT;
  const outNext = outDown * FLOAT;
  for (let j: usize = 0; j < columns; j += WIDE, panels += (inner + 1) * PANEL_ROW) {
    const width = min(WIDE, columns - j);
    for (let i: usize = 0; i < rows; i += 4) {
      const i1 = min(i + 1, last);
      const i2 = min(i + 2, last);
      const i3 = min(i + 3, last);
      let a0 = a + i * aNext;
      let a1 = a + i1 * aNext;
      let a2 = a + i2 * aNext;
      let a3 = a + i3 * aNext;
      let p = panels + PANEL_ROW;
      let s00 = v128.load(panels);
      let s01 = v128.load(panels, VECTOR);
      let s10 = s00,
        s11 = s01,
        s20 = s00,
        s21 = s01,
        s30 = s00,
        s31 = s01;
      const end = a0 + inner * FLOAT;
      while (a0 < end) {
        const b0 = v128.load(p);
        const b1 = v128.load(p, VECTOR);
        const x0 = v128.load32_splat(a0);
        s00 = fuse(x0, b0, s00);
        s01 = fuse(x0, b1, s01);
        const x1 = v128.load32_splat(a1);
        s10 = fuse(x1, b0, s10);
        s11 = fuse(x1, b1, s11);
        const x2 = v128.load32_splat(a2);
        s20 = fuse(x2, b0, s20);
        s21 = fuse(x2, b1, s21);
        const x3 = v128.load32_splat(a3);
        s30 = fuse(x3, b0, s30);
        s31 = fuse(x3, b1, s31);
        a0 += FLOAT;
        a1 += FLOAT;
        a2 += FLOAT;
        a3 += FLOAT;
        p += PANEL_ROW;
      }
      const to = out + j * FLOAT;
      keep(to + i * outNext, s00, s01, width);
      keep(to + i1 * outNext, s10, s11, width);
      keep(to + i2 * outNext, s20, s21, width);
      keep(to + i3 * outNext, s30, s31, width);
    }
  }
}

/** Stores the first `width` of eight values. */
function keep(to: usize, one: v128, two: v128, width: usize): void {
  if (width === WIDE) {
    v128.store(to, one);
    v128.store(to, two, VECTOR);
  } else {
    keepPart(to, one, two, width);
  }
}

function keepPart(to: usize, one: v128, two: v128, width: usize): void {
  if (width >= LANES) {
    v128.store(to, one);
    to += VECTOR;
    one = two;
    width -= LANES;
  }
  if (width > 0) v128.store32_lane(to, one, 0);
  if (width > 1) v128.store32_lane(to, one, 1, FLOAT);
  if (width > 2) v128.store32_lane(to, one, 2, 2 * FLOAT);
}
