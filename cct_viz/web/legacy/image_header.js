// What kind of image a file holds and how many pixels, read before it is decoded: a small file can hold a huge image.
// The same kinds and limits as in cct_viz/images/headers.py.

const MEGA = 2 ** 20;
const MOST = { JPEG: 64 * MEGA, other: 25 * MEGA };
const MOST_BYTES = 4 * MOST.other + MEGA;
const MAX_BLOCKS = 100_000; // of a GIF, before its first frame
const ACCEPTED = "PNG, JPEG, WebP, GIF and BMP images are accepted";

const starts = (bytes, text) => [...text].every((letter, i) => bytes[i] === letter.charCodeAt(0));

function findKind(bytes) {
  if (starts(bytes, "\x89PNG\r\n\x1a\n")) return "PNG";
  if (starts(bytes, "\xff\xd8\xff")) return "JPEG";
  if (starts(bytes, "GIF87a") || starts(bytes, "GIF89a")) return "GIF";
  if (starts(bytes, "RIFF") && starts(bytes.subarray(8), "WEBP")) return "WebP";
  return starts(bytes, "BM") ? "BMP" : null;
}

/** (height, width) as stored, by kind; a RangeError where the header is cut short. @type {Record<string, (view: DataView) => [number, number]>} */
const SIZES = {
  PNG: (view) => [view.getUint32(20), view.getUint32(16)],
  GIF: readGif,
  BMP: (view) => (view.getUint32(14, true) === 12 ? [view.getUint16(20, true), view.getUint16(18, true)]
    : [Math.abs(view.getInt32(22, true)), view.getInt32(18, true)]),
  WebP: readWebP,
  JPEG: readJpeg,
};

/** Goes from block to block to the first frame: it may reach beyond the screen, and decoders make room for both. */
function readGif(view) {
  const short = (at) => view.getUint16(at, true), palette = view.getUint8(10);
  let at = 13 + (palette & 0x80 ? 3 * 2 ** ((palette & 7) + 1) : 0);
  for (let blocks = 0; blocks < MAX_BLOCKS; at++, blocks++) {
    const kind = view.getUint8(at);
    if (kind === 0x2c) return [Math.max(short(8), short(at + 3) + short(at + 7)), Math.max(short(6), short(at + 1) + short(at + 5))];
    if (kind !== 0x21) break;
    for (at += 2; view.getUint8(at) && blocks < MAX_BLOCKS; blocks++) at += 1 + view.getUint8(at);
  }
  throw new RangeError("no frame");
}

function readWebP(view) {
  const kind = String.fromCharCode(...[12, 13, 14, 15].map((at) => view.getUint8(at)));
  if (kind === "VP8X") return [27, 24].map((at) => 1 + (view.getUint32(at - 1, true) >>> 8));
  if (kind === "VP8L") { const bits = view.getUint32(21, true); return [1 + ((bits >> 14) & 0x3fff), 1 + (bits & 0x3fff)]; }
  return [view.getUint16(28, true) & 0x3fff, view.getUint16(26, true) & 0x3fff];
}

/** Goes from marker to marker to the frame's, which has the size. */
function readJpeg(view) {
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    while (view.getUint8(at + 1) === 0xff) at++; // fill bytes
    const marker = view.getUint8(at + 1), isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [view.getUint16(at + 5), view.getUint16(at + 7)];
  }
}

/** (height, width) as stored of a file of a known kind. @param {ArrayBuffer} buffer */
export const readSize = (buffer) => SIZES[findKind(new Uint8Array(buffer))](new DataView(buffer));

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

/** The bytes of a file; refuses one that is too large before it is read. @param {Blob} file @param {string} name */
export async function readFile(file, name) {
  if (file.size > MOST_BYTES) throw new Error(`${name} is a file of ${megabytes(file.size)}; ${ACCEPTED} up to ${megabytes(MOST_BYTES)}`);
  try { return await file.arrayBuffer(); } catch { throw new Error(`${name} cannot be read; ${ACCEPTED}`); } // a folder, or changed meanwhile
}

/**
 * Refuses, in a sentence, a file that is no image of a known kind, or a huge one.
 * @param {ArrayBuffer} buffer @param {string} name
 */
export function checkImage(buffer, name) {
  const kind = findKind(new Uint8Array(buffer));
  if (!kind) throw new Error(`${name} is ${buffer.byteLength ? "not an image that this page reads" : "an empty file"}; ${ACCEPTED}`);
  let size;
  try { size = readSize(buffer); } catch { throw damaged(name); }
  const [height, width] = size, most = MOST[kind] ?? MOST.other;
  if (height * width <= most) return;
  const came = `${width}x${height} pixels (${(height * width / 1e6).toFixed(1)} megapixels)`;
  throw new Error(`${name} has ${came}; up to ${most / MEGA} megapixels are accepted for this kind of image`);
}

export const damaged = (name) => new Error(`${name} is an image that is damaged, incomplete or of a rare kind; other ${ACCEPTED}`);
