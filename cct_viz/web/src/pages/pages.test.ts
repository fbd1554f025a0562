import { describe, expect, it } from "vitest";
import { stopAt, stopsOf } from "./keys.ts";
import { phoneSteps, stepAt } from "./phone_steps.ts";
import { placeOfStage, stageOfPlace } from "./stages.ts";
import { numberWord } from "./words.ts";
import type { Trace } from "../model/trace.ts";

describe("stops", () => {
  const stops = stopsOf(2);
  it("are the stations with one for each layer", () => {
    expect(stops.map(({ station, layer }) => `${station}${layer}`)).toEqual([
      "pixels0",
      "convolution0",
      "tokens0",
      "attention0",
      "attention1",
      "pool0",
      "classes0",
    ]);
  });
  it("are found by station and layer; with none open it is the pool", () => {
    expect(stopAt(stops, "attention", 1)).toBe(4);
    expect(stopAt(stops, "tokens", 1)).toBe(2);
    expect(stopAt(stops, null, 0)).toBe(5);
  });
});

describe("the steps of the phone", () => {
  const traceOf = (numLayers: number) => ({ config: { numLayers, pool: "seqpool" } }) as Trace;
  it("are six for two layers and for seven", () => {
    expect(phoneSteps(traceOf(2)).map(({ name }) => name)).toEqual([
      "Pixels",
      "Conv.",
      "Att. 1",
      "Att. 2",
      "SeqPool",
      "Classes",
    ]);
    expect(phoneSteps(traceOf(7)).map(({ place }) => place)).toEqual([
      "pixels",
      "convolution",
      "tokens",
      "attention",
      "pool",
      "classes",
    ]);
  });
  it("open at the pool; a tool is no step", () => {
    const steps = phoneSteps(traceOf(2));
    expect(stepAt(steps, null, 0)).toBe(4);
    expect(stepAt(steps, "attention", 1)).toBe(3);
    expect(stepAt(steps, "tokens", 0)).toBe(1);
    expect(stepAt(steps, "paint", 0)).toBeNull();
  });
});

it("stages open stations, and tools unfold from no stage", () => {
  expect(placeOfStage("evidence")).toBe("pool");
  expect(stageOfPlace("attention", 1)).toEqual({ stage: "attention", layer: 1 });
  expect(stageOfPlace("paint", 1)).toBeNull();
});

it("small numbers have words", () => {
  expect(numberWord(10)).toBe("ten");
  expect(numberWord(100)).toBe("100");
});
