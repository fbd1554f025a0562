/**
 * What kind of image a file holds and how many pixels, read before it is decoded: a small file can hold a huge image.
 * The same kinds and limits as in cct_viz/images/headers.py.
 */

import { problem } from "../core/problem.ts";
import { describeKind, lettersAt, startsWith } from "./kinds.ts";
import type { Size } from "./preprocess.ts";

type Kind = "PNG" | "JPEG" | "GIF" | "WebP" | "BMP" | "AVIF";

const MEGA = 2 ** 20;
/** Pixels. */
const MOST: Readonly<Record<Kind, number>> = {
  JPEG: 64 * MEGA,
  PNG: 25 * MEGA,
  GIF: 25 * MEGA,
  WebP: 25 * MEGA,
  BMP: 25 * MEGA,
  AVIF: 25 * MEGA,
};
const MOST_BYTES = 4 * 25 * MEGA + MEGA;
/** Blocks of a GIF before its first frame. */
const MOST_BLOCKS = 100_000;

const accepted = problem("picture.accepted");

function findKind(bytes: Uint8Array): Kind | null {
  if (startsWith(bytes, "\x89PNG\r\n\x1a\n")) return "PNG";
  if (startsWith(bytes, "\xff\xd8\xff")) return "JPEG";
  if (startsWith(bytes, "GIF87a") || startsWith(bytes, "GIF89a")) return "GIF";
  if (startsWith(bytes, "RIFF") && startsWith(bytes.subarray(8), "WEBP")) return "WebP";
  if (startsWith(bytes, "BM")) return "BMP";
  return isAvif(bytes) ? "AVIF" : null;
}

function isAvif(bytes: Uint8Array): boolean {
  if (lettersAt(bytes, 4) !== "ftyp") return false;
  const end = Math.min(bytes[2] * 256 + bytes[3], 512); // of the list of brands
  const places = [8];
  for (let at = 16; at + 4 <= end; at += 4) places.push(at);
  return places.some((at) => ["avif", "avis"].includes(lettersAt(bytes, at)));
}

/** Height and width as stored, by kind; a RangeError where the header is cut short. */
const READERS: Readonly<Record<Kind, (view: DataView) => Size>> = {
  PNG: (view) => [view.getUint32(20), view.getUint32(16)],
  GIF: readGif,
  BMP: (view) =>
    view.getUint32(14, true) === 12
      ? [view.getUint16(20, true), view.getUint16(18, true)]
      : [Math.abs(view.getInt32(22, true)), view.getInt32(18, true)],
  WebP: readWebP,
  JPEG: readJpeg,
  AVIF: readAvif,
};

const MOST_BOXES = 10_000;

/** [name, start, end] of the content of each box of an AVIF file between two places. */
function* boxesBetween(view: DataView, start: number, end: number): Generator<[string, number, number]> {
  const bytes = new Uint8Array(view.buffer);
  for (let count = 0; count < MOST_BOXES && start + 8 <= end; count++) {
    const short = view.getUint32(start);
    const header = short === 1 ? 16 : 8;
    const length = short === 1 ? Number(view.getBigUint64(start + 8)) : short || end - start;
    if (length < header) throw new RangeError("a box without length");
    yield [lettersAt(bytes, start + 4), start + header, Math.min(start + length, end)];
    start += length;
  }
}

/** Goes through the boxes to meta/iprp/ipco, where "ispe" boxes have the sizes; the largest picture counts. */
function readAvif(view: DataView): Size {
  let [start, end] = [0, view.byteLength];
  for (const [name, skipped] of [
    ["meta", 4],
    ["iprp", 0],
    ["ipco", 0],
  ] as const) {
    const box = [...boxesBetween(view, start, end)].find(([one]) => one === name);
    if (!box) throw new RangeError(`no ${name} box`);
    [start, end] = [box[1] + skipped, box[2]];
  }
  const sizes = [...boxesBetween(view, start, end)]
    .filter(([name]) => name === "ispe")
    .map(([, at]): Size => [view.getUint32(at + 8), view.getUint32(at + 4)]);
  if (!sizes.length) throw new RangeError("no size");
  return sizes.reduce((one, other) => (other[0] * other[1] > one[0] * one[1] ? other : one));
}

/** Goes from block to block to the first frame: it may reach beyond the screen, and decoders make room for both. */
function readGif(view: DataView): Size {
  const short = (at: number) => view.getUint16(at, true);
  const palette = view.getUint8(10);
  let at = 13 + (palette & 0x80 ? 3 * 2 ** ((palette & 7) + 1) : 0);
  for (let blocks = 0; blocks < MOST_BLOCKS; at++, blocks++) {
    const kind = view.getUint8(at);
    if (kind === 0x2c) {
      return [Math.max(short(8), short(at + 3) + short(at + 7)), Math.max(short(6), short(at + 1) + short(at + 5))];
    }
    if (kind !== 0x21) break;
    for (at += 2; view.getUint8(at) && blocks < MOST_BLOCKS; blocks++) at += 1 + view.getUint8(at);
  }
  throw new RangeError("no frame");
}

function readWebP(view: DataView): Size {
  const kind = String.fromCharCode(...[12, 13, 14, 15].map((at) => view.getUint8(at)));
  if (kind === "VP8X") {
    const side = (at: number) => 1 + (view.getUint32(at - 1, true) >>> 8);
    return [side(27), side(24)];
  }
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return [1 + ((bits >> 14) & 0x3fff), 1 + (bits & 0x3fff)];
  }
  return [view.getUint16(28, true) & 0x3fff, view.getUint16(26, true) & 0x3fff];
}

/** Goes from marker to marker to the frame's, which has the size. */
function readJpeg(view: DataView): Size {
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    while (view.getUint8(at + 1) === 0xff) at++; // fill bytes
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [view.getUint16(at + 5), view.getUint16(at + 7)];
  }
}

/**
 * Height and width as stored, and the kind.
 * @throws {Error} no image of a known kind, or its header is cut short
 */
export function readHeader(buffer: ArrayBuffer, name: string): { kind: Kind; size: Size } {
  const bytes = new Uint8Array(buffer);
  const kind = findKind(bytes);
  if (!kind) throw unknown(bytes, name);
  try {
    return { kind, size: READERS[kind](new DataView(buffer)) };
  } catch {
    throw damaged(name);
  }
}

function unknown(bytes: Uint8Array, name: string): Error {
  if (!bytes.length) return problem("picture.empty", { name, accepted });
  const what = describeKind(bytes);
  return what ? problem("picture.other", { name, what, accepted }) : problem("picture.unknown", { name, accepted });
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

/**
 * The bytes of a file.
 * @throws {Error} it is too large, which is known before it is read, or cannot be read
 */
export async function readFile(file: Blob, name: string): Promise<ArrayBuffer> {
  if (file.size > MOST_BYTES) {
    throw problem("picture.bytes", { name, size: megabytes(file.size), accepted, most: megabytes(MOST_BYTES) });
  }
  try {
    return await file.arrayBuffer();
  } catch {
    throw problem("picture.unreadable", { name, accepted }); // a folder, or changed meanwhile
  }
}

/** @throws {Error} the file is no image of a known kind, or a huge one */
export function checkImage(buffer: ArrayBuffer, name: string): void {
  const { kind, size } = readHeader(buffer, name);
  const [height, width] = size;
  if (height * width <= MOST[kind]) return;
  const megapixels = Math.round((height * width) / 1e5) / 10;
  throw problem("picture.pixels", { name, width, height, megapixels, most: MOST[kind] / MEGA });
}

export const damaged = (name: string): Error => problem("picture.damaged", { name, accepted });
