// The terms of this page, each with the station or tool that shows it, in the order of the stations. Their names, their
// sentences and, where there is one, their formula are texts: glossary.token, glossary.token.text, glossary.token.formula.

import type { Place } from "../core/state.svelte.ts";

export const TERMS = {
  pixel: "pixels",
  convolution: "convolution",
  kernel: "convolution",
  channel: "convolution",
  feature_map: "convolution",
  receptive_field: "tokens",
  token: "tokens",
  position: "tokens",
  attention: "attention",
  head: "attention",
  query: "attention",
  key: "attention",
  value: "attention",
  softmax: "attention",
  residual: "attention",
  mlp: "attention",
  norm: "attention",
  effective_number: "attention",
  rollout: "attention",
  seqpool: "pool",
  class_token: "pool",
  weight: "pool",
  evidence: "pool",
  contribution: "pool",
  bias: "classes",
  logit: "classes",
  probability: "classes",
  deletion_curve: "curves",
  faithful: "curves",
  randomisation: "trust",
} as const satisfies Record<string, Place>;
export type TermName = keyof typeof TERMS;

export const TERM_NAMES = Object.keys(TERMS) as TermName[];
export const termsOf = (place: Place): TermName[] => TERM_NAMES.filter((name) => TERMS[name] === place);
