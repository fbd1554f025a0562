import { render } from "svelte/server";
import { expect, it } from "vitest";
import { readQr } from "../testing/read_qr.ts";
import { isShared, phoneAddress } from "./address.ts";
import QrCode from "./QrCode.svelte";

it.each([
  ["https://example.org/lesson/", true],
  ["http://192.168.1.20:7860/", true],
  ["https://owner-name.static.hf.space/index.html", true],
  ["file:///home/pupil/lesson/index.html", false],
  ["http://localhost:7860/", false],
  ["http://127.0.0.1:7860/cct/", false],
  ["http://[::1]:7860/", false],
  ["http://0.0.0.0:7860/", false],
  ["about:srcdoc", false],
  ["blob:null/0f2c", false],
])("%s can be opened by others: %s", (address, shared) => {
  expect(isShared(new URL(address))).toBe(shared);
});

it("a phone gets the same choices on a page of its own", () => {
  const address = phoneAddress("https://example.org/?class=7b#old", "picture=dog&station=pool&presenter=1&theme=dark");
  expect(address).toBe("https://example.org/?class=7b#picture=dog&station=pool&theme=dark");
});

it("what is drawn reads as the address", () => {
  const address = phoneAddress("https://example.org/lesson/", "picture=dog&token=12&station=attention&layer=1"),
    { body } = render(QrCode, { props: { address } }),
    side = Number(/viewBox="0 0 (\d+)/.exec(body)?.[1]) - 8,
    modules = Array.from({ length: side }, () => Array<boolean>(side).fill(false));
  for (const [, x, y] of body.matchAll(/M(\d+),(\d+)h1/g)) modules[Number(y) - 4][Number(x) - 4] = true;
  expect(readQr(modules)).toBe(address);
});
