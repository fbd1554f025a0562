import { describe, expect, it } from "vitest";
import type { Interpolation } from "../model/config.ts";
import { bytesOf, readCase, readVectors } from "../testing/vectors.ts";
import { colourMap, DIVERGING_MAP, INFERNO_MAP, paint, place } from "./colour.ts";
import { centreOf, windowOf } from "./geometry.ts";
import { checkImage, readFile, readHeader } from "./header.ts";
import { centreCrop, makeGrey, resize, type Size } from "./preprocess.ts";
import { nearestToken, spread } from "./projection.ts";

const { get, below, about } = readVectors<{ size: [number, number] }>("pictures");
const SIZE: Size = [16, 24]; // as in tests/page_vectors.py

/** The RGBA values of Python's `make_photo`. */
function makePhoto(height: number, width: number): Uint8ClampedArray {
  const rgba = new Uint8ClampedArray(height * width * 4).fill(255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const square = ((x >> 3) + (y >> 3) + c) % 2;
        rgba[4 * (y * width + x) + c] = (7 * y + 13 * x + 29 * c + ((x * y) % 31) + 90 * square) % 256;
      }
    }
  }
  return rgba;
}

describe("preprocessing", () => {
  it.each(below("resized/"))("gives Python's pixels bit for bit: %s", (name) => {
    const [rows, columns, interpolation, share] = name.split("/");
    const [height, width] = [Number(rows), Number(columns)];
    const photo = makePhoto(height, width);
    const [y0, x0, y1, x1] = centreCrop([height, width], SIZE, Number(share));
    const read = (from: number, to: number) => {
      const strips = Array.from({ length: to - from }, (_, i) => {
        const start = ((y0 + from + i) * width + x0) * 4;
        return photo.subarray(start, start + 4 * (x1 - x0));
      });
      return Uint8ClampedArray.from(strips.flatMap((strip) => Array.from(strip)));
    };
    const source = { height: y1 - y0, width: x1 - x0, read };
    const pixels = resize(source, SIZE, interpolation as Interpolation);
    expect(pixels).toEqual(get(`resized/${name}`).values);
  });

  it("crops as Python does", () => {
    const { shape, values } = get("crops");
    expect(shape[0]).toBe(45);
    for (let row = 0; row < shape[0]; row++) {
      const [h, w, mh, mw, share, ...box] = values.subarray(9 * row, 9 * row + 9);
      const exact = Math.round(10 * share) / 10; // it travelled as float32
      expect(centreCrop([h, w], [mh, mw], exact), `case ${row}`).toEqual(box);
    }
  });

  it("makes Pillow's grey", () => {
    const rgba = makeGrey(makePhoto(...about.size));
    const grey = get("grey").values;
    for (let cell = 0; cell < grey.length; cell++) {
      expect(Array.from(rgba.subarray(4 * cell, 4 * cell + 4))).toEqual([grey[cell], grey[cell], grey[cell], 255]);
    }
  });
});

describe("headers", () => {
  it.each(below("files/"))("say the size of a picture: %s", (name) => {
    const { kind, size } = readHeader(bytesOf(get(`files/${name}`)), name);
    expect(size).toEqual(about.size);
    expect(name.toLowerCase()).toContain(kind.toLowerCase());
  });

  const file = (name: string) => bytesOf(get(`files/${name}`));

  it("of a GIF say how far its first frame reaches", () => {
    const buffer = file("gif");
    const bytes = new Uint8Array(buffer);
    const view = new DataView(buffer);
    const frame = bytes.indexOf(0x2c, bytes.lastIndexOf(0xf9)); // after the graphic control block
    for (const [x, y, width, height] of [
      [0, 0, 60_000, 50_000],
      [59_000, 49_000, 1000, 1000],
    ]) {
      [x, y, width, height].forEach((value, i) => view.setUint16(frame + 1 + 2 * i, value, true));
      expect(readHeader(buffer, "photo").size).toEqual([50_000, 60_000]);
    }
  });

  it.each([
    ["png", 16, (view: DataView, at: number) => (view.setUint32(at, 60_000), view.setUint32(at + 4, 60_000)), 25],
    [
      "bmp",
      18,
      (view: DataView, at: number) => (view.setInt32(at, 60_000, true), view.setInt32(at + 4, 60_000, true)),
      25,
    ],
    ["jpeg", -1, (view: DataView, at: number) => (view.setUint16(at, 60_000), view.setUint16(at + 2, 60_000)), 64],
  ] as const)("of a huge %s are refused", (name, at, write, most) => {
    const buffer = file(name);
    const frame = new Uint8Array(buffer).findIndex((byte, i, all) => byte === 0xff && all[i + 1] === 0xc0);
    write(new DataView(buffer), at < 0 ? frame + 5 : at);
    expect(() => checkImage(buffer, "photo")).toThrow(
      `photo has 60000x60000 pixels (3600 megapixels); up to ${most} megapixels are accepted for this kind of image`,
    );
  });

  const ACCEPTED = "PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted";

  it.each([
    ["nothing", () => new ArrayBuffer(0), `photo is an empty file; ${ACCEPTED}`],
    ["text", () => new TextEncoder().encode("hello").buffer, `photo is not an image that this page reads; ${ACCEPTED}`],
    [
      "half a PNG's header",
      () => file("png").slice(0, 18),
      "photo is an image that is damaged, incomplete or of a rare",
    ],
    ["half a JPEG's header", () => file("jpeg").slice(0, 30), "photo is an image that is damaged, incomplete or of a "],
    ["half a GIF", () => file("gif").slice(0, 200), "photo is an image that is damaged, incomplete or of a rare kind"],
  ])("of what is no picture are refused: %s", (_, make, message) => {
    expect(() => checkImage(make(), "photo")).toThrow(message);
  });

  it("accepts what is small enough", () => {
    for (const name of below("files/")) expect(() => checkImage(file(name), name)).not.toThrow();
  });

  it("a file that is too large is not read, and one that cannot be read is refused", async () => {
    const unreadable = (size: number) =>
      ({ size, arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) }) as Blob;
    await expect(readFile(unreadable(2e8), "photo")).rejects.toThrow(
      `photo is a file of 200 MB; ${ACCEPTED} up to 106 MB`,
    );
    await expect(readFile(unreadable(100), "photo")).rejects.toThrow(`photo cannot be read; ${ACCEPTED}`);
  });
});

describe("between tokens and pixels", () => {
  const { trace, model } = readCase("seqpool");
  const last = trace.stages[trace.stages.length - 1];
  const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0);

  it("shares keep their sum, and a constant stays one", () => {
    const values = Float32Array.from({ length: 15 }, (_, i) => i);
    expect(sum(spread(values, last, model.config.imageSize, "sum"))).toBeCloseTo(sum(values), 9);
    const constant = spread(new Float32Array(15).fill(2), last, model.config.imageSize, "average");
    expect(new Set(constant)).toEqual(new Set([2]));
  });

  it("each pixel's owner sees it", () => {
    const [height, width] = model.config.imageSize;
    const owners = nearestToken(last, [height, width]);
    owners.forEach((token, cell) => {
      const { y0, x0, y1, x1 } = windowOf(last, token);
      const [y, x] = [Math.floor(cell / width), cell % width];
      expect(y0 <= y && y < y1 && x0 <= x && x < x1).toBe(true);
    });
    expect(centreOf(last, 0)).toEqual({ y: last.centres[0], x: last.centres[1] });
  });
});

describe("colours", () => {
  it("put 0 in the middle of a signed map and at the start of another", () => {
    expect([-2, 0, 2, 9].map((value) => place(value, 2, DIVERGING_MAP))).toEqual([0, 128, 255, 255]);
    expect([0, 1, 2].map((value) => place(value, 2, INFERNO_MAP))).toEqual([0, 128, 255]);
    expect(place(3, 0, INFERNO_MAP)).toBe(0);
  });

  it("run from the first step to the last", () => {
    const map = colourMap(["000000", "ff8000"], false);
    const out = new Uint8ClampedArray(8);
    paint(out, [0, 5], 5, map);
    expect(Array.from(out)).toEqual([0, 0, 0, 255, 255, 128, 0, 255]);
    expect(map.css).toBe("#000000, #ff8000");
  });
});
