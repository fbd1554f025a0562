import { expect, it } from "vitest";
import { isRevealed, indexOf, scoreOf, withTry } from "./score.ts";
import { makeStep, type Step, UNMARKED } from "./step.ts";

const attempt = (given: number, right: boolean, subject = "cat", marking = UNMARKED) => ({
  given,
  right,
  subject,
  marking,
});
const step = (name: string, asked = true): Step =>
  makeStep({
    name,
    title: name,
    text: [],
    question: asked
      ? {
          text: "?",
          control: { kind: "token" },
          check: () => ({ right: true, words: "yes." }),
          answer: "!",
          right: null,
        }
      : null,
    reveal: "",
    takeaway: name,
    stages: [],
    place: "pixels",
  });

it("counts tries until one is right, and then no more", () => {
  const once = withTry(undefined, attempt(4, false));
  expect(once).toEqual({ given: [4], right: false, subject: "cat", marking: UNMARKED });
  const twice = withTry(once, attempt(5, true));
  expect([twice.given, twice.right]).toEqual([[4, 5], true]);
  expect(withTry(twice, attempt(6, false))).toBe(twice);
});

it("keeps what the last try was about", () => {
  const marking = { marked: new Set([7]), answers: [Float32Array.of(1)] };
  expect(withTry(withTry(undefined, attempt(1, false)), attempt(2, false, "cat", marking)).marking).toBe(marking);
});

it("starts afresh on another picture", () => {
  const right = withTry(undefined, attempt(4, true));
  const fresh = { given: [5], right: false, subject: "ship", marking: UNMARKED };
  expect(withTry(right, attempt(5, false, "ship"))).toEqual(fresh);
});

it("shows the right answer once it is given or the tries are used up", () => {
  const wrong = withTry(undefined, attempt(1, false, "cat"));
  expect(isRevealed(undefined, 1)).toBe(false);
  expect([isRevealed(wrong, 1), isRevealed(wrong, 2)]).toEqual([true, false]);
  expect(isRevealed(withTry(undefined, attempt(1, true, "cat")), 2)).toBe(true);
});

it("counts only what was asked", () => {
  const steps = [step("a"), step("b"), step("c"), step("d", false)];
  const second = withTry(withTry(undefined, attempt(1, false, "x")), attempt(2, true, "x"));
  const record = {
    a: withTry(undefined, attempt(1, true, "x")),
    b: second,
    c: withTry(undefined, attempt(1, false, "x")),
    gone: second,
  };
  expect(scoreOf(steps, record)).toEqual({ asked: 3, answered: 3, right: 2, firstTry: 1 });
});

it("finds a step among those of another model", () => {
  expect(indexOf([step("a"), step("b")], "b")).toBe(1);
  expect(indexOf([step("a"), step("b")], "seqpool")).toBe(0);
});
