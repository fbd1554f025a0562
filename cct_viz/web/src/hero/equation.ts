// The answer in numbers: weight x evidence = contribution; this + others + bias = score -> probability.

import type { Trace } from "../model/trace.ts";
import { attentionRow } from "./attention.ts";
import { poolingOf, type Height } from "./pooling.ts";

export interface Equation {
  /** null: a class token reads the answer, so the score does not split into tokens. */
  readonly token: {
    readonly height: Height;
    readonly factor: number;
    readonly length: number;
    readonly contribution: number;
    /** The sum of all other contributions. */
    readonly others: number;
  } | null;
  /** Attention that the class token pays to the token in the last layer; null without a class token. */
  readonly attention: number | null;
  /** The score without the bias. */
  readonly read: number;
  readonly bias: number;
  readonly score: number;
  readonly probability: number;
  /** Softmax: the sum of e^score over all classes; null with sigmoid outputs. */
  readonly total: number | null;
}

export function equationOf(trace: Trace, token: number, target: number, head: number | null = null): Equation {
  const pooling = poolingOf(trace, target),
    score = trace.logits[target] ?? 0,
    bias = trace.bias[target] ?? 0,
    contribution = pooling?.contributions[token] ?? 0,
    softmax = trace.config.output === "softmax";
  return {
    token: pooling && {
      height: pooling.height,
      factor: pooling.shares[token] ?? 0,
      length: pooling.lengths[token] ?? 0,
      contribution,
      others: score - bias - contribution,
    },
    attention: pooling ? null : (attentionRow(trace, trace.config.numLayers - 1, head, 0)[token + 1] ?? 0),
    read: score - bias,
    bias,
    score,
    probability: trace.probabilities[target] ?? 0,
    total: softmax ? trace.logits.reduce((sum, logit) => sum + Math.exp(logit), 0) : null,
  };
}
