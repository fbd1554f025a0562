// What a step of the lesson is: data that a card shows. Everything in it follows from one trace.

import type { Station } from "../core/state.svelte.ts";
import type { Stage } from "../hero/layout.ts";
import type { Ramp } from "../widgets/palette.ts";

/** An answer to choose; `token`: it stands for a patch of the picture. */
export interface Option {
  readonly id: number;
  readonly text: string;
  readonly token?: number;
}

/** How an answer is given. Each gives a number: an option's id, a token, or the slider's value. */
export type Control = Choice | { readonly kind: "token" } | Slider;

export interface Choice {
  readonly kind: "choice";
  readonly options: readonly Option[];
  /** If set, tokens are marked first, and the model answers the pictures (H, W, 3) that this makes of them. */
  readonly pictures?: (marked: ReadonlySet<number>) => readonly Uint8Array[];
}

/** What was marked before an option was chosen, and (K,) logits of each picture made of it. */
export interface Marking {
  readonly marked: ReadonlySet<number>;
  readonly answers: readonly Float32Array[];
}
export const UNMARKED: Marking = { marked: new Set(), answers: [] };

export interface Slider {
  readonly kind: "slider";
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly start: number;
  /** The value in words. */
  readonly words: (value: number) => string;
  /** What the model, or the map, does with the value. */
  readonly live: (value: number) => string;
  /** (N,) shown over the photo at a value; null: no map. */
  readonly map: ((value: number) => StepMap) | null;
}

/** A map over the photo in the card. */
export interface StepMap {
  /** (N,) */
  readonly values: ArrayLike<number>;
  readonly ramp: Ramp;
}

/** Another picture of the gallery, and what is said of it and of the map over it; that is "" where there is no map. */
export interface Example {
  readonly id: string;
  readonly words: string;
  readonly ofMap: string;
}

export interface Judged {
  readonly right: boolean;
  /** What the given answer is worth, in numbers of the picture. */
  readonly words: string;
  /** Where they follow from what was marked: the right option, and what is revealed. */
  readonly best?: number;
  readonly reveal?: string;
  /** (H, W, 3) each, and what stands below it. */
  readonly pictures?: readonly { readonly pixels: Uint8Array; readonly words: string }[];
}

export interface Question {
  readonly text: string;
  readonly control: Control;
  readonly check: (given: number, marking: Marking) => Judged;
  /** A right answer, said when the tries are used up; null where what is revealed says it. */
  readonly answer: string | null;
  /** The id of the right option; null where the answer is no option, or follows from what was marked. */
  readonly right: number | null;
}

export interface Step {
  readonly name: string;
  readonly title: string;
  /** What has to be known before the question. */
  readonly text: readonly string[];
  /** Null where this picture leaves nothing to ask. */
  readonly question: Question | null;
  readonly reveal: string;
  /** One sentence to keep. */
  readonly takeaway: string;
  /** The stages of the drawing that the veil leaves open. */
  readonly stages: readonly Stage[];
  /** The station that a phone shows above the card. */
  readonly place: Station;
  /** Whether path, feet and equation would give the answer away. */
  readonly hides: boolean;
  /** The token that is lit once the answer is given; null: the strongest. */
  readonly light: number | null;
  readonly layer: number;
  readonly head: number | null;
  /** A token with a frame of its own on the card's photo, such as the query; null: none. */
  readonly framed: number | null;
  /** Whether frames on the card's photo are the tokens' windows; otherwise they are their patches. */
  readonly windows: boolean;
  /** Over the card's photo once the answer is given. */
  readonly map: StepMap | null;
  /** Shown with the map of its own answer, once the answer is given. */
  readonly example: Example | null;
}

type Needed = "name" | "title" | "text" | "question" | "reveal" | "takeaway" | "stages" | "place";

/** A step with what it leaves out: it hides, lights the strongest token and shows all heads. */
export const makeStep = (given: Pick<Step, Needed> & Partial<Step>): Step => ({
  hides: true,
  light: null,
  layer: 0,
  head: null,
  framed: null,
  windows: false,
  map: null,
  example: null,
  ...given,
});
