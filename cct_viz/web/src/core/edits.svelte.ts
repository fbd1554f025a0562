// What the visitor changed, with undo and redo: the picture, the tokens that take part, the pool. The whole page follows.

import type { Pooling } from "../derive/laboratory.ts";
import { brighten, meanColour, turn } from "../derive/painting.ts";
import type { Session } from "./session.svelte.ts";
import { NO_STEPS, redo, stepFrom, type Steps, undo } from "./undo.ts";

export interface Change {
  /** (H, W, 3): the pixels as painted; null: the picture's own. */
  readonly strokes: Uint8Array | null;
  /** Factor of every level. */
  readonly brightness: number;
  /** Degrees, clockwise. */
  readonly turn: number;
  /** Tokens that are neither attended to nor pooled. */
  readonly masked: ReadonlySet<number>;
  /** The pool's weights, and the tokens that are taken out of the pool alone. */
  readonly pooling: Pooling;
  readonly dropped: ReadonlySet<number>;
}

const OWN_TOKENS = { masked: new Set<number>(), pooling: { kind: "model" }, dropped: new Set<number>() } as const;
export const UNCHANGED: Change = { strokes: null, brightness: 1, turn: 0, ...OWN_TOKENS };

/** Whether two changes differ in the pool alone, which needs no pass of the model. */
export const isSamePass = (one: Change, other: Change): boolean =>
  one.strokes === other.strokes &&
  one.brightness === other.brightness &&
  one.turn === other.turn &&
  one.masked === other.masked;

const isSame = (one: Change, other: Change | undefined): boolean =>
  other !== undefined && isSamePass(one, other) && one.pooling === other.pooling && one.dropped === other.dropped;

export class Edits {
  readonly #session: Session;
  change = $state.raw(UNCHANGED);
  steps = $state.raw<Steps<Change>>(NO_STEPS);
  /** (H, W, 3); null where nothing is changed. The traces follow them. */
  readonly pixels: Uint8Array | null = $derived.by(() => {
    const { untouched } = this.#session;
    return untouched && pixelsOf(untouched.pixels, untouched.config.imageSize, this.change);
  });

  constructor(session: Session) {
    this.#session = session;
  }

  /** A stroke, or the move of a slider, begins: it is one step of undo. */
  begin(): void {
    this.steps = stepFrom(this.steps, this.change);
  }

  /** The picture with these pixels: brightness and turn are in them. */
  draw(strokes: Uint8Array): void {
    this.#set({ ...this.change, strokes, brightness: 1, turn: 0 });
  }

  adjust(patch: Partial<Omit<Change, "strokes">>): void {
    this.#set({ ...this.change, ...patch });
  }

  undo(): void {
    this.#go(undo(this.steps, this.change));
  }

  redo(): void {
    this.#go(redo(this.steps, this.change));
  }

  /** Back to the original, as a step that can be undone. */
  restore(): void {
    this.begin();
    this.#set(UNCHANGED);
  }

  /** Another picture is there. */
  forget(): void {
    this.change = UNCHANGED;
    this.steps = NO_STEPS;
  }

  /** Another model is there, whose tokens are others. */
  forgetTokens(): void {
    const own = (change: Change): Change => ({ ...change, ...OWN_TOKENS }),
      now = (this.change = own(this.change));
    // What is now like its neighbour is no step.
    const before = this.steps.before.map(own).filter((one, i, all) => !isSame(one, all[i + 1] ?? now)),
      after = this.steps.after.map(own).filter((one, i, all) => !isSame(one, all[i + 1] ?? now));
    this.steps = { before, after };
  }

  /** The newest picture could not be shown: that of an earlier change still is. The pool needed no pass. */
  giveUp({ strokes, brightness, turn: degrees, masked }: Change): void {
    this.change = { ...this.change, strokes, brightness, turn: degrees, masked };
  }

  #go(to: ReturnType<typeof undo<Change>>): void {
    if (!to) return;
    this.steps = to.steps;
    this.#set(to.state);
  }

  #set(change: Change): void {
    this.change = change;
    void this.#session.paint();
  }
}

/** (H, W, 3) of a changed picture; null where every pixel is the picture's own. */
function pixelsOf(
  own: Uint8Array,
  size: readonly [number, number],
  { strokes, brightness, turn: degrees }: Change,
): Uint8Array | null {
  const painted = strokes ?? own,
    bright = brightness === 1 ? painted : brighten(painted, brightness),
    turned = degrees === 0 ? bright : turn(bright, size, degrees, meanColour(bright));
  return turned.every((level, i) => level === own[i]) ? null : turned;
}
