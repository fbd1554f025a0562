import { describe, expect, it } from "vitest";
import { readQr } from "../testing/read_qr.ts";
import { qrCode } from "./code.ts";

const ADDRESS =
  "https://example.org/lesson/#picture=dog&token=12&station=attention&layer=1&head=1&view=heads&presenter=1";

describe("a code", () => {
  it("says the address", () => {
    const code = qrCode(ADDRESS);
    expect(code && readQr(code)).toBe(ADDRESS);
  });

  it.each([1, 14, 15, 84, 106, 107, 180, 213, 214, 300, 362, 412, 450])("of %i bytes is read back", (length) => {
    const text = Array.from({ length }, (_, i) => "abc/?&=#-1".charAt((i * 7) % 10)).join(""),
      code = qrCode(text);
    expect(code && readQr(code)).toBe(text);
  });

  it("keeps letters outside ASCII", () => {
    const code = qrCode("https://example.org/#picture=Müller–é");
    expect(code && readQr(code)).toBe("https://example.org/#picture=Müller–é");
  });

  it("of more than it can hold is null", () => {
    expect(qrCode("x".repeat(451))).toBeNull();
  });
});
