/**
 * QR codes of addresses: bytes, error correction level M (15 %), versions 1 to 16.
 *
 * Reference: ISO/IEC 18004, Information technology: QR Code bar code symbology specification. The sections are named
 * where their rules are used.
 */

import { correction } from "./correction.ts";

/** Modules in rows; true is dark. */
export type Modules = readonly (readonly boolean[])[];

/** Of level M, by version: codewords of error correction in a block, and blocks (table 9). */
const CORRECTION = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28];
const BLOCKS = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10];

/** The modules of a code of `text`; null where it is too long: above about 450 bytes. */
export function qrCode(text: string): Modules | null {
  const bytes = new TextEncoder().encode(text),
    version = BLOCKS.findIndex((_, i) => bytes.length + (i < 9 ? 2 : 3) <= dataCodewords(i + 1)) + 1;
  if (!version) return null;
  const stream = interleave(codewords(bytes, version), version);
  const codes = Array.from({ length: 8 }, (_, mask) => new Code(version, stream, mask));
  return codes.reduce((best, code) => (code.penalty() < best.penalty() ? code : best)).modules;
}

/** Modules that hold data or correction: all but the patterns. */
function rawModules(version: number): number {
  const along = version < 2 ? 0 : Math.floor(version / 7) + 2,
    all = (16 * version + 128) * version + 64;
  return all - (along ? (25 * along - 10) * along - 55 : 0) - (version >= 7 ? 36 : 0);
}

const allCodewords = (version: number): number => Math.floor(rawModules(version) / 8);
const dataCodewords = (version: number): number =>
  allCodewords(version) - CORRECTION[version - 1] * BLOCKS[version - 1];

/** Mode, count, bytes, end and padding (section 7.4). */
function codewords(bytes: Uint8Array, version: number): number[] {
  const bits: number[] = [];
  const add = (value: number, length: number): void => {
    for (let i = length - 1; i >= 0; i--) bits.push((value >> i) & 1);
  };
  add(4, 4);
  add(bytes.length, version < 10 ? 8 : 16);
  bytes.forEach((byte) => add(byte, 8));
  const room = 8 * dataCodewords(version);
  add(0, Math.min(4, room - bits.length));
  add(0, (8 - (bits.length % 8)) % 8);
  for (let pad = 0xec; bits.length < room; pad ^= 0xec ^ 0x11) add(pad, 8);
  return Array.from({ length: room / 8 }, (_, i) =>
    bits.slice(8 * i, 8 * i + 8).reduce((byte, bit) => 2 * byte + bit, 0),
  );
}

/** Blocks with their correction, codeword by codeword (section 7.6). */
function interleave(data: readonly number[], version: number): number[] {
  const count = BLOCKS[version - 1],
    size = Math.floor(data.length / count),
    short = count - (data.length % count); // the later blocks have one codeword more
  let at = 0;
  const blocks = Array.from({ length: count }, (_, i) => data.slice(at, (at += size + (i < short ? 0 : 1)))),
    corrections = blocks.map((block) => correction(block, CORRECTION[version - 1]));
  const mixed = (lists: readonly number[][]): number[] =>
    Array.from({ length: Math.max(...lists.map(({ length }) => length)) }, (_, i) =>
      lists.filter((list) => i < list.length).map((list) => list[i]),
    ).flat();
  return [...mixed(blocks), ...mixed(corrections)];
}

const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

class Code {
  readonly modules: boolean[][];
  readonly #size: number;
  /** Modules of patterns, which no mask changes. */
  readonly #fixed: boolean[][];

  constructor(version: number, stream: readonly number[], mask: number) {
    const size = (this.#size = 17 + 4 * version);
    this.modules = Array.from({ length: size }, () => Array<boolean>(size).fill(false));
    this.#fixed = Array.from({ length: size }, () => Array<boolean>(size).fill(false));
    this.#patterns(version);
    this.#format(mask);
    this.#place(stream, MASKS[mask]);
  }

  #set(x: number, y: number, dark: boolean): void {
    if (x < 0 || y < 0 || x >= this.#size || y >= this.#size) return;
    this.modules[y][x] = dark;
    this.#fixed[y][x] = true;
  }

  /** Timing, finders, alignment and version (section 6.3 and 7.10). */
  #patterns(version: number): void {
    const size = this.#size;
    for (let i = 0; i < size; i++) {
      this.#set(6, i, i % 2 === 0);
      this.#set(i, 6, i % 2 === 0);
    }
    const rings = (cx: number, cy: number, half: number, dark: (ring: number) => boolean): void => {
      for (let dy = -half; dy <= half; dy++)
        for (let dx = -half; dx <= half; dx++) this.#set(cx + dx, cy + dy, dark(Math.max(Math.abs(dx), Math.abs(dy))));
    };
    for (const [x, y] of [
      [3, 3],
      [size - 4, 3],
      [3, size - 4],
    ])
      rings(x, y, 4, (ring) => ring !== 2 && ring !== 4);
    const at = alignment(version);
    for (const y of at)
      for (const x of at)
        if (!((x === 6 && y === 6) || (x === 6 && y === size - 7) || (x === size - 7 && y === 6)))
          rings(x, y, 2, (ring) => ring !== 1);
    if (version < 7) return;
    const bits = (version << 12) | remainder(version, 12, 0x1f25);
    for (let i = 0; i < 18; i++) {
      const [a, b] = [size - 11 + (i % 3), Math.floor(i / 3)];
      this.#set(a, b, ((bits >> i) & 1) === 1);
      this.#set(b, a, ((bits >> i) & 1) === 1);
    }
  }

  /** Level and mask, twice (section 7.9); level M is 0. */
  #format(mask: number): void {
    const bits = ((mask << 10) | remainder(mask, 10, 0x537)) ^ 0x5412,
      size = this.#size;
    for (let i = 0; i < 15; i++) {
      const dark = ((bits >> i) & 1) === 1;
      const [x, y] = i < 6 ? [8, i] : i < 8 ? [8, i + 1] : i === 8 ? [7, 8] : [14 - i, 8];
      this.#set(x, y, dark);
      if (i < 8) this.#set(size - 1 - i, 8, dark);
      else this.#set(8, size - 15 + i, dark);
    }
    this.#set(8, size - 8, true);
  }

  /** In columns of two from the right, upwards and downwards by turns (section 7.7.3). */
  #place(stream: readonly number[], mask: (x: number, y: number) => boolean): void {
    const size = this.#size;
    let i = 0;
    for (let right = size - 1; right > 0; right -= 2) {
      if (right === 6) right--;
      const up = ((right + 1) & 2) === 0;
      for (let step = 0; step < size; step++)
        for (const x of [right, right - 1]) {
          const y = up ? size - 1 - step : step;
          if (this.#fixed[y][x]) continue;
          const bit = i < 8 * stream.length && ((stream[i >> 3] >> (7 - (i & 7))) & 1) === 1;
          this.modules[y][x] = bit !== mask(x, y);
          i++;
        }
    }
  }

  /** How hard it is to read (section 7.8.3). */
  penalty(): number {
    const size = this.#size,
      rows = this.modules.map((row) => row.map(Number).join("")),
      columns = rows.map((_, x) => rows.map((row) => row[x]).join(""));
    let sum = 0,
      dark = 0;
    for (const line of [...rows, ...columns]) {
      for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2;
      sum += 40 * [...line.matchAll(/(?=00001011101|10111010000)/g)].length;
    }
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        dark += Number(rows[y][x]);
        if (x && y && new Set([rows[y][x], rows[y - 1][x], rows[y][x - 1], rows[y - 1][x - 1]]).size === 1) sum += 3;
      }
    return sum + 10 * Math.floor(Math.abs((20 * dark) / (size * size) - 10));
  }
}

/** Rows and columns of the alignment patterns' centres (annex E). */
function alignment(version: number): number[] {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2,
    last = 4 * version + 10,
    step = 2 * Math.ceil((last - 6) / (count - 1) / 2);
  return [6, ...Array.from({ length: count - 1 }, (_, i) => last - (count - 2 - i) * step)];
}

/** Of `value` times x^length over a polynomial of that degree, bits as coefficients: a BCH code. */
function remainder(value: number, length: number, polynomial: number): number {
  let rest = value;
  for (let i = 0; i < length; i++) rest = (rest << 1) ^ ((rest >> (length - 1)) * polynomial);
  return rest;
}
