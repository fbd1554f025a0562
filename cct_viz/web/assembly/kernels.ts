/**
 * The page's arithmetic in WebAssembly, four float32 at a time. AssemblyScript: TypeScript's grammar, but `usize` is an
 * address in bytes or a count, and `v128` is four float32 lanes. src/model/wasm_engine.ts calls it and owns the memory.
 *
 * Every array begins at a multiple of 16 bytes and its space is rounded up to 16, so that elementwise kernels may write
 * a few lanes beyond its end.
 */

import { FLOAT, fuse, LANES, PANEL_ROW, splat, VECTOR, WIDE } from "./vectors";

export { multiply } from "./multiply";

/**
 * Copies a matrix (inner, columns), whose entry (i, j) lies `down` i + `across` j floats after `b`, into panels of eight
 * columns. A panel is a row of eight biases (zeros where `bias` is 0), then `inner` rows; the last is filled up with zeros.
 */
export function pack(
  b: usize,
  down: usize,
  across: usize,
  inner: usize,
  columns: usize,
  bias: usize,
  panels: usize,
): void {
  const next = down * FLOAT;
  const step = across * FLOAT;
  const size = (inner + 1) * PANEL_ROW;
  for (let j: usize = 0; j < columns; j += WIDE, panels += size) {
    const width = min(WIDE, columns - j);
    const rows = panels + PANEL_ROW;
    if (width < WIDE || !bias) memory.fill(panels, 0, width < WIDE ? size : PANEL_ROW);
    if (bias) memory.copy(panels, bias + j * FLOAT, width * FLOAT);
    if (width === WIDE && across === 1) {
      for (let from = b + j * FLOAT, to = rows; to < panels + size; from += next, to += PANEL_ROW) {
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, VECTOR), VECTOR);
      }
    } else {
      for (let c: usize = 0; c < width; c++) {
        let from = b + (j + c) * step;
        for (let to = rows + c * FLOAT; to < panels + size; from += next, to += PANEL_ROW)
          store<f32>(to, load<f32>(from));
      }
    }
  }
}

/** Added to a float32 below 2^22 in size, it leaves the nearest integer in the lowest bits. */
const ROUNDING: f32 = 12582912; // 1.5 2^23

/**
 * e^x for x below 88, to 2e-7 of its value: 2^n e^r with n the integer nearest to x / ln 2, so |r| < 0.35, and e^r by its
 * Taylor series up to r^7 / 7!. Exactly 0 below -87, where float32 ends, so that a masked score gives 0.
 */
function exp(x: v128): v128 {
  const rounded = fuse(x, splat(1.44269504), splat(ROUNDING));
  const n = f32x4.sub(rounded, splat(ROUNDING));
  // ln 2 in two parts: n times the first is exact.
  const r = fuse(n, splat(2.1219444e-4), fuse(n, splat(-0.693359375), x));
  let y = fuse(splat(1.0 / 5040), r, splat(1.0 / 720));
  y = fuse(y, r, splat(1.0 / 120));
  y = fuse(y, r, splat(1.0 / 24));
  y = fuse(y, r, splat(1.0 / 6));
  y = fuse(y, r, splat(0.5));
  y = fuse(y, r, splat(1));
  y = fuse(y, r, splat(1));
  const raised = i32x4.add(y, i32x4.shl(rounded, 23)); // times 2^n: n added to the bits of the exponent
  return v128.and(raised, f32x4.gt(x, splat(-87)));
}

/**
 * Every row of x (rows, columns): softmax(factor x + penalty), in place. `penalty` is (columns,), or 0 for none. Sums run
 * in float64.
 */
export function softmax(x: usize, rows: usize, columns: usize, factor: f32, penalty: usize): void {
  const whole = columns & ~3;
  for (let i: usize = 0; i < rows; i++, x += columns * FLOAT) {
    let tops = splat(-Infinity);
    for (let at: usize = 0; at < whole * FLOAT; at += VECTOR) {
      let value = f32x4.mul(v128.load(x + at), splat(factor));
      if (penalty) value = f32x4.add(value, v128.load(penalty + at));
      tops = f32x4.max(tops, value);
      v128.store(x + at, value);
    }
    let top = max(
      max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)),
      max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)),
    );
    for (let at = whole * FLOAT; at < columns * FLOAT; at += FLOAT) {
      let value = load<f32>(x + at) * factor;
      if (penalty) value += load<f32>(penalty + at);
      top = max(top, value);
      store<f32>(x + at, value);
    }
    let sums = f64x2.splat(0);
    for (let at: usize = 0; at < whole * FLOAT; at += VECTOR) {
      const value = exp(f32x4.sub(v128.load(x + at), splat(top)));
      sums = f64x2.add(sums, sumPairs(value));
      v128.store(x + at, value);
    }
    let total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
    for (let at = whole * FLOAT; at < columns * FLOAT; at += FLOAT) {
      const value = f32x4.extract_lane(exp(splat(load<f32>(x + at) - top)), 0);
      total += value;
      store<f32>(x + at, value);
    }
    const scale = <f32>(1 / total);
    for (let at: usize = 0; at < whole * FLOAT; at += VECTOR)
      v128.store(x + at, f32x4.mul(v128.load(x + at), splat(scale)));
    for (let at = whole * FLOAT; at < columns * FLOAT; at += FLOAT) store<f32>(x + at, load<f32>(x + at) * scale);
  }
}

/** Lanes 0 and 2, 1 and 3 added, as float64. */
function sumPairs(x: v128): v128 {
  return f64x2.add(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(i32x4.shuffle(x, x, 2, 3, 2, 3)));
}

/**
 * LayerNorm of x (rows, columns), whose rows lie `down` floats apart, to `out`, without gaps: each row minus its mean, over
 * its standard deviation, times gamma, plus beta. Mean and variance are float64.
 */
export function layerNorm(
  x: usize,
  down: usize,
  rows: usize,
  columns: usize,
  gamma: usize,
  beta: usize,
  epsilon: f64,
  out: usize,
): void {
  const bytes = columns * FLOAT;
  const whole = (columns & ~3) * FLOAT;
  const count = <f64>columns;
  for (let i: usize = 0; i < rows; i++, x += down * FLOAT, out += bytes) {
    let sums = f64x2.splat(0);
    for (let at: usize = 0; at < whole; at += VECTOR) sums = f64x2.add(sums, sumPairs(v128.load(x + at)));
    let mean = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
    for (let at = whole; at < bytes; at += FLOAT) mean += load<f32>(x + at);
    mean /= count;
    const middle = f64x2.splat(mean);
    sums = f64x2.splat(0);
    for (let at: usize = 0; at < bytes; at += 2 * FLOAT) {
      const from = f64x2.sub(f64x2.promote_low_f32x4(v128.load64_zero(x + at)), middle);
      if (at + FLOAT < bytes) sums = f64x2.add(sums, f64x2.mul(from, from));
      else sums = f64x2.add(sums, f64x2.replace_lane(f64x2.mul(from, from), 1, 0)); // an odd last value
    }
    const variance = (f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1)) / count;
    const scale = 1 / sqrt(variance + epsilon);
    for (let at: usize = 0; at < whole; at += VECTOR) {
      // In float32 from here: x - mean is exact where both are close.
      const value = f32x4.mul(f32x4.sub(v128.load(x + at), splat(<f32>mean)), splat(<f32>scale));
      v128.store(out + at, fuse(value, v128.load(gamma + at), v128.load(beta + at)));
    }
    for (let at = whole; at < bytes; at += FLOAT) {
      const value = (load<f32>(x + at) - <f32>mean) * <f32>scale;
      store<f32>(out + at, value * load<f32>(gamma + at) + load<f32>(beta + at));
    }
  }
}

/** out = x + y, of `count` values. */
export function add(x: usize, y: usize, out: usize, count: usize): void {
  for (let at: usize = 0; at < count * FLOAT; at += VECTOR) {
    v128.store(out + at, f32x4.add(v128.load(x + at), v128.load(y + at)));
  }
}

/** The rectifier: `count` values below 0 become 0, in place. */
export function relu(x: usize, count: usize): void {
  for (let at: usize = 0; at < count * FLOAT; at += VECTOR) {
    v128.store(x + at, f32x4.max(v128.load(x + at), splat(0)));
  }
}

/** Puts the larger of both into `out`, `count` values, without a lane beyond them. */
export function larger(x: usize, out: usize, count: usize): void {
  const whole = (count & ~3) * FLOAT;
  for (let at: usize = 0; at < whole; at += VECTOR) {
    v128.store(out + at, f32x4.max(v128.load(out + at), v128.load(x + at)));
  }
  for (let at = whole; at < count * FLOAT; at += FLOAT)
    store<f32>(out + at, max(load<f32>(out + at), load<f32>(x + at)));
}

/** Copies `count` values, without a lane beyond them; for the short rows of windows, memory.copy takes longer. */
export function copy(x: usize, out: usize, count: usize): void {
  const whole = (count & ~3) * FLOAT;
  for (let at: usize = 0; at < whole; at += VECTOR) v128.store(out + at, v128.load(x + at));
  for (let at = whole; at < count * FLOAT; at += FLOAT) store<f32>(out + at, load<f32>(x + at));
}

/** x Phi(x) for `count` values, in place, with Phi(x) = (1 + erf(x / sqrt 2)) / 2. */
export function gelu(x: usize, count: usize): void {
  for (let at: usize = 0; at < count * FLOAT; at += VECTOR) {
    const value = v128.load(x + at);
    const half = f32x4.mul(value, splat(0.5));
    v128.store(x + at, f32x4.add(half, f32x4.mul(half, erf(f32x4.mul(value, splat(0.70710678))))));
  }
}

/**
 * The error function, to 2e-7: a polynomial near 0, 1 - e^(a polynomial) elsewhere.
 * Source: N. Juffa 2016, https://stackoverflow.com/questions/35148198
 */
function erf(x: v128): v128 {
  const size = f32x4.min(f32x4.abs(x), splat(4)); // erf(4) is 1 to the last digit
  const square = f32x4.mul(size, size);
  let near = fuse(splat(-5.96761703e-4), square, splat(4.99119423e-3));
  near = fuse(near, square, splat(-2.67681349e-2));
  near = fuse(near, square, splat(1.12819925e-1));
  near = fuse(near, square, splat(-3.76125336e-1));
  near = fuse(near, square, splat(1.28379166e-1));
  near = fuse(near, x, x);
  let far = fuse(splat(-1.7285347e-5), size, splat(3.83197126e-4));
  far = fuse(far, square, fuse(splat(-3.88396438e-3), size, splat(2.42546219e-2)));
  far = fuse(far, size, splat(-1.06777877e-1));
  far = fuse(far, size, splat(-6.34846687e-1));
  far = fuse(far, size, splat(-1.28717512e-1));
  far = f32x4.sub(splat(1), exp(fuse(far, size, f32x4.neg(size))));
  far = v128.or(far, v128.and(x, splat(-0.0))); // the sign of x
  return v128.bitselect(far, near, f32x4.gt(size, splat(0.92)));
}

/** The same authors' approximation by tanh: x / (1 + e^(-2 sqrt(2 / pi) (x + 0.044715 x^3))), `count` values in place. */
export function geluTanh(x: usize, count: usize): void {
  for (let at: usize = 0; at < count * FLOAT; at += VECTOR) {
    const value = v128.load(x + at);
    const cube = f32x4.mul(f32x4.mul(value, value), value);
    const inner = f32x4.mul(fuse(cube, splat(0.044715), value), splat(-1.59576912));
    const raised = exp(f32x4.min(inner, splat(87)));
    v128.store(x + at, f32x4.div(value, f32x4.add(splat(1), raised)));
  }
}
