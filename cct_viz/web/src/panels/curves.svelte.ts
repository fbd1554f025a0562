// Deletion and insertion of one map against random orders, measured with the model's own answers.

import type { Session } from "../core/session.svelte.ts";
import { quantile } from "../core/maths.ts";
import { createAnswers } from "../derive/answers.ts";
import { masksAlong, percentile, randomOrders, rank, spreadSteps, srg, type Curve } from "../derive/faithfulness.ts";
import { probabilitiesOf } from "../model/make_trace.ts";
import type { Trace } from "../model/trace.ts";
import { isQuick } from "./quick.ts";

export const ORDERS = 20;
export const BAND = 0.9; // the share of random orders that the grey band holds
const POINTS = 16;
const FEWER_POINTS = 8; // of a model that is not quick; as in the score tables
const SEED = 0;
const CURVES: readonly Curve[] = ["deletion", "insertion"];

type Both<T> = Record<Curve, T>;
type Point = readonly [number, number];

const both = <T>(make: (which: Curve) => T): Both<T> => ({ deletion: make("deletion"), insertion: make("insertion") });

export interface Measured {
  /** (x, probability) as far as they are known, x from 0 to 1. */
  readonly own: Both<Point[]>;
  readonly bands: Both<readonly [Point[], Point[]] | null>;
  /** Random orders that are measured. */
  readonly orders: number;
  /** Insertion - deletion; null until both curves are known. */
  readonly srg: number | null;
  /** The share of random orders that do worse; null until there are any. */
  readonly better: number | null;
}

/** One picture's answers, kept while the panel is open. */
export class CurveBench {
  readonly steps: readonly number[];
  readonly #trace: Trace;
  readonly #answers = createAnswers();
  readonly #random: readonly Both<Uint8Array[]>[];
  /** Grows with each answer, so that what is read from them follows. */
  known = $state(0);
  problem: unknown = $state.raw(null);

  constructor(trace: Trace) {
    const n = trace.config.numTokens;
    this.#trace = trace;
    this.steps = spreadSteps(n, isQuick(trace.config) ? POINTS : FEWER_POINTS);
    this.#random = randomOrders(n, ORDERS, SEED).map((order) => both((which) => masksAlong(order, this.steps, which)));
  }

  /** The masks of a map's own order. */
  plan(values: ArrayLike<number>): Both<Uint8Array[]> {
    const order = rank(values, SEED);
    return both((which) => masksAlong(order, this.steps, which));
  }

  /** Ask for what is not known: the map's own masks first. @returns what ends it */
  measure(session: Session, plan: Both<Uint8Array[]>): () => void {
    const ending = new AbortController();
    const masks = this.#answers.missing([
      ...CURVES.flatMap((c) => plan[c]),
      ...this.#random.flatMap((one) => CURVES.flatMap((c) => one[c])),
    ]);
    const onanswer = (index: number, logits: Float32Array): void => {
      this.#answers.put(masks[index], logits);
      if (index % 8 === 7 || index === masks.length - 1) this.known = this.#answers.size;
    };
    if (masks.length) {
      session.answers(masks, { signal: ending.signal, background: true, onanswer }).catch((error: unknown) => {
        if (!(error instanceof DOMException)) this.problem = error;
      });
    }
    return () => ending.abort();
  }

  #curve(masks: readonly Uint8Array[], target: number): number[] {
    const curve: number[] = [];
    for (const mask of masks) {
      const logits = this.#answers.of(mask);
      if (!logits) break;
      curve.push(probabilitiesOf(this.#trace.config.output, logits)[target]);
    }
    return curve;
  }

  read(plan: Both<Uint8Array[]>, target: number): Measured {
    void this.known;
    const n = this.#trace.config.numTokens;
    const whole = (curve: number[]): boolean => curve.length === this.steps.length;
    const points = (curve: number[]): Point[] => curve.map((value, i) => [this.steps[i] / n, value] as const);
    const own = both((which) => this.#curve(plan[which], target));
    const others = this.#random
      .map((one) => both((which) => this.#curve(one[which], target)))
      .filter((one) => CURVES.every((which) => whole(one[which])));
    const edge = (which: Curve, share: number): Point[] =>
      points(
        this.steps.map((_, i) =>
          quantile(
            others.map((one) => one[which][i]),
            share,
          ),
        ),
      );
    const done = CURVES.every((which) => whole(own[which]));
    const gain = (curves: Both<number[]>): number => srg(this.steps, curves);
    return {
      own: both((which) => points(own[which])),
      bands: both((which) =>
        others.length > 1 ? ([edge(which, (1 - BAND) / 2), edge(which, (1 + BAND) / 2)] as const) : null,
      ),
      orders: others.length,
      srg: done ? gain(own) : null,
      better: done && others.length ? percentile(gain(own), others.map(gain)) : null,
    };
  }
}
