import { expect, it } from "vitest";
import { isRevealed, indexOf, scoreOf, withTry } from "./score.ts";
import { makeStep, type Step } from "./step.ts";

const WRONG = { right: false, words: "no." },
  RIGHT = { right: true, words: "yes." };
const step = (name: string, asked = true): Step =>
  makeStep({
    name,
    title: name,
    text: [],
    question: asked ? { text: "?", control: { kind: "token" }, check: () => RIGHT, answer: "!", right: null } : null,
    reveal: "",
    takeaway: name,
    stages: [],
    place: "pixels",
  });

it("counts tries until one is right, and then no more", () => {
  const once = withTry(undefined, 4, WRONG, "cat");
  expect(once).toEqual({ given: [4], right: false, words: "no.", subject: "cat", marked: new Set() });
  const twice = withTry(once, 5, RIGHT, "cat");
  expect([twice.given, twice.right]).toEqual([[4, 5], true]);
  expect(withTry(twice, 6, WRONG, "cat")).toBe(twice);
});

it("keeps the marks, and what followed from them", () => {
  const judged = { ...WRONG, best: 2, reveal: "two." };
  expect(withTry(undefined, 1, judged, "cat", { marked: new Set([7]), answers: [] })).toMatchObject({
    ...judged,
    marked: new Set([7]),
  });
});

it("starts afresh on another picture", () => {
  const right = withTry(undefined, 4, RIGHT, "cat");
  const fresh = { given: [5], right: false, words: "no.", subject: "ship", marked: new Set() };
  expect(withTry(right, 5, WRONG, "ship")).toEqual(fresh);
});

it("shows the right answer once it is given or the tries are used up", () => {
  const wrong = withTry(undefined, 1, WRONG, "cat");
  expect(isRevealed(undefined, 1)).toBe(false);
  expect([isRevealed(wrong, 1), isRevealed(wrong, 2)]).toEqual([true, false]);
  expect(isRevealed(withTry(undefined, 1, RIGHT, "cat"), 2)).toBe(true);
});

it("counts only what was asked", () => {
  const steps = [step("a"), step("b"), step("c"), step("d", false)];
  const second = withTry(withTry(undefined, 1, WRONG, "x"), 2, RIGHT, "x");
  const record = {
    a: withTry(undefined, 1, RIGHT, "x"),
    b: second,
    c: withTry(undefined, 1, WRONG, "x"),
    gone: second,
  };
  expect(scoreOf(steps, record)).toEqual({ asked: 3, answered: 3, right: 2, firstTry: 1 });
});

it("finds a step among those of another model", () => {
  expect(indexOf([step("a"), step("b")], "b")).toBe(1);
  expect(indexOf([step("a"), step("b")], "seqpool")).toBe(0);
});
