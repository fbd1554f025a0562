// The states before and after the shown one, for undo and redo.

const MOST = 100; // states that are kept

export interface Steps<T> {
  readonly before: readonly T[];
  readonly after: readonly T[];
}

export const NO_STEPS: Steps<never> = { before: [], after: [] };

/** `now` is about to change: what was undone is forgotten. */
export const stepFrom = <T>({ before }: Steps<T>, now: T): Steps<T> => ({
  before: [...before, now].slice(-MOST),
  after: [],
});

/** The state before `now` and its steps; null where there is none. */
export const undo = <T>({ before, after }: Steps<T>, now: T): { state: T; steps: Steps<T> } | null =>
  before.length
    ? { state: before[before.length - 1], steps: { before: before.slice(0, -1), after: [...after, now] } }
    : null;

/** The state that was undone last and its steps; null where there is none. */
export const redo = <T>({ before, after }: Steps<T>, now: T): { state: T; steps: Steps<T> } | null =>
  after.length
    ? { state: after[after.length - 1], steps: { before: [...before, now], after: after.slice(0, -1) } }
    : null;
