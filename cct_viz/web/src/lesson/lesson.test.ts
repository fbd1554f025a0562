import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { COURSES } from "../core/state.svelte.ts";
import { argmax, descending, softmax, sum } from "../core/maths.ts";
import { readLens } from "../derive/depth.ts";
import { meanColour } from "../derive/painting.ts";
import { madeTrace } from "../hero/made_trace.ts";
import { percent, signed } from "../i18n/numbers.ts";
import { makeTrace } from "../model/make_trace.ts";
import { openModel } from "../model/model.ts";
import type { Trace } from "../model/trace.ts";
import { halfPrecision } from "../testing/safetensors.ts";
import { CASES, picture, readCase, readVectors } from "../testing/vectors.ts";
import { makeSteps, takeaways } from "./courses.ts";
import { candidates, rankOf, readFacts, type Subject } from "./facts.ts";
import { UNMARKED, type Judged, type Question, type Step } from "./step.ts";

const WEIGHTS = join(import.meta.dirname, "../../../../weights/keras_cct_cifar10");

function bundled(): Trace {
  const { get } = readVectors("bundled");
  const config = readFileSync(join(WEIGHTS, "config.json"), "utf8");
  const model = openModel(
    config,
    halfPrecision(Uint8Array.from(readFileSync(join(WEIGHTS, "model.safetensors"))).buffer),
  );
  const pixels = Uint8Array.from(get("pixels").values);
  return { ...picture(pixels), ...makeTrace(model, model.run(pixels)) };
}

const subjectOf = (trace: Trace, given: Partial<Subject> = {}): Subject => ({
  trace,
  truth: null,
  verdict: "other",
  others: [],
  canAsk: true,
  ...given,
});

/** What is said to each option where the answer has these probabilities with marked patches, or all others, covered. */
function judgeCovers(steps: readonly Step[], trace: Trace, marked: Set<number>, shares: number[]): Judged[] {
  const { numClasses } = trace.config,
    best = argmax(trace.probabilities),
    question = steps.find(({ name }) => name === "object")?.question;
  const answers = shares.map((share) =>
    Float32Array.from({ length: numClasses }, (_, c) => Math.log(c === best ? share : (1 - share) / (numClasses - 1))),
  );
  if (!question) throw new Error("no question");
  return [0, 1, 2].map((given) => question.check(given, { marked, answers }));
}

/** Everything that could be answered. */
function offered({ control }: Question, n: number): number[] {
  if (control.kind === "choice") return control.options.map(({ id }) => id);
  if (control.kind === "token") return Array.from({ length: n }, (_, token) => token);
  const count = Math.round((control.max - control.min) / control.step) + 1;
  return Array.from({ length: count }, (_, i) => control.min + i * control.step);
}

const textsOf = (step: Step): string[] => [
  step.title,
  ...step.text,
  step.reveal,
  step.takeaway,
  step.question?.text ?? "",
  step.question?.answer ?? "",
];

const TRACES: Record<string, () => Trace> = {
  "the bundled model": bundled,
  ...Object.fromEntries(CASES.map((name) => [name, () => readCase(name).trace])),
  "a mean pool": () => madeTrace({ pool: "mean" }),
  "sigmoid outputs": () => madeTrace({ output: "sigmoid" }),
  "2 classes and 5 layers": () => madeTrace({ classes: 2, layers: 5 }),
};

describe.each(Object.entries(TRACES))("%s", (_name, make) => {
  const trace = make(),
    n = trace.config.numTokens;

  it.each(COURSES)("%s: each question has right and wrong answers, and says what each is worth", (course) => {
    const steps = makeSteps(course, subjectOf(trace));
    const marking = { marked: new Set([0]), answers: [trace.logits, trace.logits, trace.logits] };
    expect(steps.length).toBeGreaterThanOrEqual(3);
    for (const step of steps) {
      for (const text of textsOf(step)) expect(text, step.name).not.toMatch(/undefined|NaN|null|\{|Infinity/);
      const { question } = step;
      if (!question) continue;
      const answers = offered(question, n).map((given) => question.check(given, marking));
      expect(
        answers.filter(({ right }) => right),
        step.name,
      ).not.toHaveLength(0);
      expect(
        answers.filter(({ right }) => !right),
        step.name,
      ).not.toHaveLength(0);
      for (const { words } of answers) expect(words, step.name).toMatch(/^\S.*[.!?]$/);
      if (question.control.kind === "choice") {
        const { options } = question.control;
        expect(new Set(options.map(({ text }) => text)).size, step.name).toBe(options.length);
        const right = question.right ?? answers[0].best ?? -1;
        expect(question.check(right, marking).right, step.name).toBe(true);
        expect(answers.filter(({ right }) => right)).toHaveLength(1);
      }
      if (question.control.kind === "slider") {
        expect(question.check(question.control.start, UNMARKED).right, `${step.name} is not solved at the start`).toBe(
          false,
        );
      }
    }
  });

  it.each(COURSES)("%s ends with five takeaways", (course) => {
    const kept = takeaways(course, makeSteps(course, subjectOf(trace)));
    expect(new Set(kept).size).toBe(kept.length);
    expect(kept.length).toBe(Math.min(5, makeSteps(course, subjectOf(trace)).length));
  });
});

describe("the bundled model's own picture", () => {
  const trace = bundled(),
    facts = readFacts(subjectOf(trace)),
    steps = makeSteps("lesson", subjectOf(trace)),
    stepOf = (name: string): Step => {
      const step = steps.find((one) => one.name === name);
      if (!step) throw new Error(`no step ${name}`);
      return step;
    };
  const best = argmax(trace.probabilities),
    weights = trace.poolingWeights ?? new Float32Array();

  it("has every step, SeqPool before any question about other pools", () => {
    expect(steps.map(({ name }) => name)).toEqual([
      "pixels",
      "convolution",
      "tokens",
      "window",
      "query_key",
      "head",
      "depth",
      "parts",
      "pool",
      "why_pool",
      "contribution",
      "object",
      "bench",
      "sum",
      "wrong",
    ]);
    expect(makeSteps("tour", subjectOf(trace)).map(({ name }) => name)).toEqual([
      "pixels",
      "tokens",
      "depth",
      "pool",
      "sum",
      "wrong",
    ]);
  });

  it("asks for the heaviest of three patches, with its numbers", () => {
    const { question, reveal } = stepOf("pool"),
      heavy = argmax(weights);
    expect(question?.right).toBe(heavy);
    expect(reveal).toContain(percent(weights[heavy], 2));
    expect(reveal).toContain(signed(trace.evidence[heavy * 10 + best]));
    expect(reveal).toContain(signed(weights[heavy] * trace.evidence[heavy * 10 + best], 3));
    const lightest = descending(weights)[63];
    expect(question?.check(lightest, UNMARKED).words).toContain(", number 64 of 64.");
  });

  it("mean pooling's winner is that of the mean evidence", () => {
    const logits = Array.from(trace.bias, (bias, c) => {
      let total = 0;
      for (let token = 0; token < 64; token++) total += trace.evidence[token * 10 + c] / 64;
      return bias + total;
    });
    expect(stepOf("why_pool").question?.right).toBe(argmax(logits));
    expect(stepOf("why_pool").question?.answer).toContain(percent(softmax(logits)[argmax(logits)]));
  });

  it("before attention it would answer as the logit lens says", () => {
    const [first] = readLens(trace) ?? [],
      early = argmax(first.probabilities);
    const { question, reveal } = stepOf("depth");
    if (early === best) expect(question?.answer).toContain(percent(first.probabilities[best], 0));
    else expect(question?.right).toBe(early);
    expect(reveal).toContain(`${trace.labels[early]}, ${percent(first.probabilities[early], 0)}`);
    expect(reveal).toContain(`${trace.labels[best]}, ${percent(trace.probabilities[best], 0)}`);
  });

  it("accepts exactly the tokens whose windows do not meet the framed one", () => {
    const { question, framed } = stepOf("window");
    expect(framed).not.toBeNull();
    const box = (token: number) => Array.from(trace.receptiveFields.subarray(4 * token, 4 * token + 4));
    for (let token = 0; token < 64; token++) {
      const [[y0, x0, y1, x1], [v0, u0, v1, u1]] = [box(framed ?? 0), box(token)];
      const meet = y0 < v1 && v0 < y1 && x0 < u1 && u0 < x1;
      expect(question?.check(token, UNMARKED).right, `token ${token}`).toBe(!meet);
    }
  });

  it("a heavy token against the answer is right, a light one or one for it is not", () => {
    const { question } = stepOf("contribution"),
      heavy = descending(weights).slice(0, 16),
      values = facts.contribution ?? new Float64Array();
    const against = heavy.filter((token) => values[token] < 0);
    for (let token = 0; token < 64; token++) {
      const right = against.length ? against.includes(token) : weights[token] < 1 / 64 && values[token] > 0;
      expect(question?.check(token, UNMARKED).right, `token ${token}`).toBe(right);
    }
  });

  it("the marked patches are covered, then all others, and what the model answers is told", () => {
    const marked = new Set([0, 9]),
      [{ reveal }] = judgeCovers(steps, trace, marked, [0.3, 0.9, 0.1]),
      values = facts.contribution ?? new Float64Array(),
      share = sum([...marked].map((token) => values[token])) / sum(values);
    const from = percent(trace.probabilities[best]);
    expect(reveal).toContain(`(${percent(2 / 64)} of the picture)`);
    expect(reveal).toContain(
      `of dog goes from ${from} to ${percent(0.3)}. With all other patches covered, it is ${percent(0.9)}.`,
    );
    expect(reveal).toContain(`marked patches are ${percent(share)} of all contributions to dog`);
  });

  it.each([
    [0.36, 0.5, 0.1, 0, "So here the model uses what you marked"],
    [0.36, 0.1, 0.1, 0, "So here the model needs both"],
    [0.5, 0.3, 0.1, 1, "So here the model uses the rest"],
    [0.5, 0.5, 0.1, 1, "So here either part alone keeps"],
    [0.5, 0.5, 0.3, 1, "So here the model needs both"],
    [0.67, 0.3, 0.1, 2, "So here the model uses the rest"],
    [0.9, 0.7, 0.1, 2, "So here either part alone keeps"],
    [0.9, 0.7, 0.4, 2, "But with everything covered it is still 40.0"],
  ])("%d without the marked patches, %d with nothing else and %d for one colour is answer %d: %s", (...row) => {
    const [without, alone, blank, right, verdict] = row,
      judged = judgeCovers(steps, trace, new Set([3]), [without, alone, blank]); // 73.4 % with all of them
    expect(judged.map((one) => one.right)).toEqual([0, 1, 2].map((given) => given === right));
    expect(judged.map(({ words }) => words.match(/less|more|goes from/)?.[0])).toEqual(
      [0, 1, 2].map((given) => (given === right ? "goes from" : given < right ? "less" : "more")),
    );
    for (const { best: option, reveal } of judged) {
      expect(option).toBe(right);
      expect(reveal).toContain(verdict);
    }
  });

  it("the part that writes most is named, and all parts sum to the score", () => {
    const { reveal } = stepOf("parts"),
      mean = trace.logits.reduce((a, b) => a + b, 0) / 10;
    expect(reveal).toContain(signed(trace.logits[best] - mean));
  });

  it("rollout without attention is right only near alpha 0", () => {
    const rollout = makeSteps("trust", subjectOf(trace)).find(({ name }) => name === "rollout");
    expect(rollout?.question?.check(0, UNMARKED).right).toBe(true);
    expect(rollout?.question?.check(0.5, UNMARKED).right).toBe(false);
    expect(rollout?.question?.check(1, UNMARKED).right).toBe(false);
  });

  it("says so when it is wrong, and names another picture that it cannot answer", () => {
    const truth = best === 0 ? 1 : 0;
    const of = (given: Partial<Subject>) => makeSteps("tour", subjectOf(trace, given)).at(-1);
    expect(of({ truth, verdict: "wrong" })?.text[0]).toContain(trace.labels[truth]);
    const others = [
      { id: "coffee", name: "cup", verdict: "other", label: "truck", probability: 0.5 },
      { id: "rocket", name: "rocket", verdict: "other", label: "airplane", probability: 0.9 },
      { id: "dog", name: "dog", verdict: "right", label: "dog", probability: 0.99 },
    ] as const;
    const example = of({ others })?.example;
    expect(example?.id).toBe("rocket");
    expect(example?.words).toContain("rocket, gets airplane, 90.0");
    expect(example?.ofMap.includes("airplane")).toBe(trace.contributions !== null);
    expect(of({})?.example).toBeNull();
  });
});

it("covers patches of every size so that each pixel is hidden once", () => {
  const made = madeTrace({ rows: 12, columns: 24 }),
    pixels = Uint8Array.from({ length: 26 * 35 * 3 }, (_, i) => 255 * (Math.floor(i / 3) % 2)),
    trace = { ...made, pixels, config: { ...made.config, imageSize: [26, 35] as const } },
    steps = makeSteps("trust", subjectOf(trace)),
    marked = new Set([0, 30, 31, 55, 287]);
  const [without, alone, blank] = (judgeCovers(steps, trace, marked, [0.5, 0.5, 0.1])[0].pictures ?? []).map(
      ({ pixels }) => pixels,
    ),
    grey = meanColour(trace.pixels);
  let hidden = 0;
  for (let i = 0; i < 26 * 35; i++) {
    const isHidden = [without, alone].map((made) => grey.every((level, c) => made[3 * i + c] === level));
    expect(isHidden[0], `pixel ${i}`).toBe(!isHidden[1]);
    hidden += Number(isHidden[0]);
  }
  expect(hidden).toBeGreaterThan(0);
  expect(new Set(blank)).toEqual(new Set(grey));
});

it("asks nothing of a model that the page cannot run", () => {
  const steps = makeSteps("trust", subjectOf(madeTrace({ pool: "mean" }), { canAsk: false }));
  expect(steps.map(({ name }) => name)).not.toContain("object");
});

it("offers the largest, and only what is clearly smaller", () => {
  const facts = readFacts(subjectOf(madeTrace({ rows: 4, columns: 4 })));
  const values = Array.from({ length: 16 }, (_, token) => (token === 3 ? 1 : token === 4 ? 0.95 : 0.1));
  const tokens = candidates(facts, values);
  expect(tokens).toContain(3);
  expect(tokens).not.toContain(4);
  expect(tokens).toHaveLength(3);
  expect(candidates(facts, new Float32Array(16).fill(0.25))).toBeNull();
  expect(rankOf([3, 1, 3, 2], 3)).toBe(3);
});
