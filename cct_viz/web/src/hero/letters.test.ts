import { expect, it } from "vitest";
import { letters, shortened } from "./letters.ts";

it("a Chinese letter is as wide as two", () => {
  expect([letters("cat"), letters("猫"), letters("64 个")]).toEqual([3, 2, 5]);
});

it("a text is cut to the room that it has", () => {
  expect([shortened("automobile", 10), shortened("automobile", 6), shortened("英国史宾格犬", 7)]).toEqual([
    "automobile",
    "autom…",
    "英国史…",
  ]);
});
