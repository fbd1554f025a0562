// Every map that follows from the trace and the model's weights, by its method's name in Python.

import { argmax } from "../core/maths.ts";
import type { Session } from "../core/session.svelte.ts";
import type { Model } from "../model/model.ts";
import type { Fusion, Heatmaps, Trace } from "../model/trace.ts";
import { ablateInPool } from "../derive/ablation.ts";
import { attentionFrom, imageTokens } from "../derive/attention.ts";
import { gradCam, hiresCam } from "../derive/cam.ts";
import { contribution, evidence } from "../derive/contrast.ts";
import { depthSum, inputContribution, type InputSplit, splitScore } from "../derive/input_split.ts";
import { contributionRollout, rollout, type Alpha } from "../derive/rollout.ts";

export interface MapOptions {
  /** The model that made the trace; without it there are no maps that walk back through its weights. */
  readonly model: Model | null;
  readonly target: number;
  readonly reference: number | null;
  readonly fusion: Fusion;
  readonly alpha: Alpha;
}

/** Those that the person chose. */
export const mapOptions = ({ model, target, reference, selection }: Session): MapOptions => ({
  model,
  target,
  reference,
  fusion: selection.fusion,
  alpha: selection.alpha,
});

export interface NamedMap {
  readonly method: MethodName;
  readonly values: Float64Array;
  readonly signed: boolean;
  /** Whether it starts from attention. */
  readonly attention: boolean;
}

export const METHODS = [
  "seqpool",
  "evidence",
  "contribution",
  "input_contribution",
  "depth_sum",
  "attention",
  "rollout",
  "contribution_rollout",
  "grad_cam",
  "hires_cam",
  "ablate_in_pool",
] as const;
export type MethodName = (typeof METHODS)[number];
/** Those that need the weights of the model that made the trace. */
export const FROM_WEIGHTS: readonly MethodName[] = ["input_contribution", "depth_sum"];

type Make = (trace: Trace, options: MapOptions) => Float64Array | null;

const splitOf = (trace: Trace, { model, target, reference }: MapOptions): InputSplit | null =>
  model && splitScore(trace, model, target, reference ?? undefined);

const MAKE: Record<MethodName, { make: Make; signed: boolean; attention: boolean }> = {
  seqpool: {
    make: ({ poolingWeights }) => poolingWeights && Float64Array.from(poolingWeights),
    signed: false,
    attention: false,
  },
  evidence: {
    make: (trace, { target, reference }) => evidence(trace, target, reference),
    signed: true,
    attention: false,
  },
  contribution: {
    make: (trace, { target, reference }) => contribution(trace, target, reference),
    signed: true,
    attention: false,
  },
  input_contribution: {
    make: (trace, options) => {
      const split = splitOf(trace, options);
      return split && inputContribution(split, trace).map;
    },
    signed: true,
    attention: false,
  },
  depth_sum: {
    make: (trace, options) => {
      const split = splitOf(trace, options);
      return split && depthSum(split, trace);
    },
    signed: true,
    attention: false,
  },
  attention: {
    make: (trace, { fusion }) =>
      imageTokens(trace, attentionFrom(trace, null, trace.config.numLayers - 1, null, fusion)),
    signed: false,
    attention: true,
  },
  rollout: {
    make: (trace, { fusion, alpha }) => {
      const steps = rollout(trace, { fusion, alpha });
      return imageTokens(trace, steps[steps.length - 1]);
    },
    signed: false,
    attention: true,
  },
  contribution_rollout: {
    make: (trace, { target, fusion }) => contributionRollout(trace, target, { fusion }),
    signed: true,
    attention: true,
  },
  grad_cam: { make: (trace, { target }) => gradCam(trace, target), signed: false, attention: false },
  hires_cam: { make: (trace, { target }) => hiresCam(trace, target), signed: true, attention: false },
  ablate_in_pool: { make: (trace, { target }) => ablateInPool(trace, target), signed: true, attention: false },
};

/** The maps that this model has, in a fixed order. */
export function allMaps(trace: Trace, options: MapOptions, names: readonly MethodName[] = METHODS): NamedMap[] {
  return names.flatMap((method) => {
    const { make, signed, attention } = MAKE[method];
    const values = make(trace, options);
    return values ? [{ method, values, signed, attention }] : [];
  });
}

/** The maps that a server computed and this page does not; they are of the predicted class only. */
export const furtherMaps = (
  trace: Trace,
  { target, reference }: MapOptions,
  known: readonly NamedMap[],
): readonly Heatmaps[] =>
  target === argmax(trace.logits) && reference === null
    ? (trace.computed ?? []).filter((map) => !known.some(({ method }) => method === map.method))
    : [];
