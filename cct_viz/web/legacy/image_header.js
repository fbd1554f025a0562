// What kind of image a file holds and how many pixels, read before it is decoded: a small file can hold a huge image.
// The same kinds and limits as in cct_viz/images/headers.py.

const MEGA = 2 ** 20;
const MOST = { JPEG: 64 * MEGA, other: 25 * MEGA };
const MOST_BYTES = 4 * MOST.other + MEGA;
const MAX_BLOCKS = 100_000; // of a GIF, before its first frame
const ACCEPTED = "PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted";

const starts = (bytes, text) => [...text].every((letter, i) => bytes[i] === letter.charCodeAt(0));

function findKind(bytes) {
  if (starts(bytes, "\x89PNG\r\n\x1a\n")) return "PNG";
  if (starts(bytes, "\xff\xd8\xff")) return "JPEG";
  if (starts(bytes, "GIF87a") || starts(bytes, "GIF89a")) return "GIF";
  if (starts(bytes, "RIFF") && starts(bytes.subarray(8), "WEBP")) return "WebP";
  if (starts(bytes, "BM")) return "BMP";
  return isAvif(bytes) ? "AVIF" : null;
}

/** The four letters at a place. */
const letters = (bytes, at) => String.fromCharCode(...bytes.subarray(at, at + 4));

function isAvif(bytes) {
  if (letters(bytes, 4) !== "ftyp") return false;
  const brands = [8];
  for (let at = 16; at + 4 <= Math.min(bytes[2] * 256 + bytes[3], 512); at += 4) brands.push(at);
  return brands.some((at) => ["avif", "avis"].includes(letters(bytes, at)));
}

const SAVE_AS = "save it as PNG or JPEG";
/** First bytes -> the kind of file and what to do, for formats that people have: the same as in cct_viz/images/kinds.py. */
const OTHERS = [
  ["II*\0", "a TIFF image", SAVE_AS], ["MM\0*", "a TIFF image", SAVE_AS], ["II+\0", "a BigTIFF image", SAVE_AS], ["MM\0+", "a BigTIFF image", SAVE_AS],
  ["\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image", SAVE_AS], ["\xff\x4f\xff\x51", "a JPEG 2000 image", SAVE_AS],
  ["\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image", SAVE_AS], ["\xff\x0a", "a JPEG XL image", SAVE_AS],
  ["%PDF", "a PDF document", "save the page as PNG"], ["<svg", "an SVG drawing", "save it as PNG"], ["8BPS", "a Photoshop file", SAVE_AS],
  ["PK\x03\x04", "a ZIP archive", "unpack it"], ["\0\0\x01\0", "a Windows icon", "save it as PNG"],
];
const HEIC = ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"];
const PHONE = "export it as JPEG; an iPhone takes JPEG photos with Settings, Camera, Formats, Most Compatible";
const TGA_FOOTER = "TRUEVISION-XFILE.\0";

/** "a TIFF image: save it as PNG or JPEG" of a file that is no accepted image. */
function describe(bytes) {
  if (!bytes.length) return "an empty file";
  const other = OTHERS.find(([first]) => starts(bytes, first));
  if (other) return `${other[1]}: ${other[2]}`;
  if (letters(bytes, 4) === "ftyp") return HEIC.includes(letters(bytes, 8)) ? `a HEIC photo: ${PHONE}` : "a video or an image of another kind";
  if (/^P[1-7]\s/.test(letters(bytes, 0))) return `a PPM, PGM or PBM image: ${SAVE_AS}`;
  if (letters(bytes, 128) === "DICM") return "a DICOM file: export the picture as PNG";
  if (starts(bytes.subarray(-TGA_FOOTER.length), TGA_FOOTER)) return `a TGA image: ${SAVE_AS}`;
  return "not an image that this page reads";
}

/** (height, width) as stored, by kind; a RangeError where the header is cut short. @type {Record<string, (view: DataView) => [number, number]>} */
const SIZES = {
  PNG: (view) => [view.getUint32(20), view.getUint32(16)],
  GIF: readGif,
  BMP: (view) => (view.getUint32(14, true) === 12 ? [view.getUint16(20, true), view.getUint16(18, true)]
    : [Math.abs(view.getInt32(22, true)), view.getInt32(18, true)]),
  WebP: readWebP,
  JPEG: readJpeg,
  AVIF: readAvif,
};

const MAX_BOXES = 10_000;

/** [name, start, end] of the content of each box of an AVIF file between two places. */
function* boxes(view, start, end) {
  for (let count = 0; count < MAX_BOXES && start + 8 <= end; count++) {
    const short = view.getUint32(start), header = short === 1 ? 16 : 8;
    const length = short === 1 ? Number(view.getBigUint64(start + 8)) : short || end - start;
    if (length < header) throw new RangeError("a box without length");
    yield [letters(new Uint8Array(view.buffer), start + 4), start + header, Math.min(start + length, end)];
    start += length;
  }
}

/** Goes through the boxes to meta/iprp/ipco, where "ispe" boxes have the sizes; the largest picture counts. */
function readAvif(view) {
  let [start, end] = [0, view.byteLength];
  for (const [name, skipped] of [["meta", 4], ["iprp", 0], ["ipco", 0]]) {
    const found = [...boxes(view, start, end)].find(([one]) => one === name);
    if (!found) throw new RangeError(`no ${name} box`);
    [start, end] = [found[1] + skipped, found[2]];
  }
  const sizes = [...boxes(view, start, end)].filter(([name]) => name === "ispe").map(([, at]) => [view.getUint32(at + 8), view.getUint32(at + 4)]);
  if (!sizes.length) throw new RangeError("no size");
  return sizes.reduce((one, other) => (other[0] * other[1] > one[0] * one[1] ? other : one));
}

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
  const bytes = new Uint8Array(buffer), kind = findKind(bytes);
  if (!kind) throw new Error(`${name} is ${describe(bytes)}; ${ACCEPTED}`);
  let size;
  try { size = readSize(buffer); } catch { throw damaged(name); }
  const [height, width] = size, most = MOST[kind] ?? MOST.other;
  if (height * width <= most) return;
  const came = `${width}x${height} pixels (${(height * width / 1e6).toFixed(1)} megapixels)`;
  throw new Error(`${name} has ${came}; up to ${most / MEGA} megapixels are accepted for this kind of image`);
}

export const damaged = (name) => new Error(`${name} is an image that is damaged, incomplete or of a rare kind; other ${ACCEPTED}`);
