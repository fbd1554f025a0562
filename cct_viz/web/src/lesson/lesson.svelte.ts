// The running course of a page: its steps, the answers and what the drawing hides while a question waits.

import { verdictOf } from "../core/answer.ts";
import type { Session } from "../core/session.svelte.ts";
import type { Choices, Course } from "../core/state.svelte.ts";
import type { Spot } from "../hero/stages.ts";
import { makeSteps, PLANS } from "./courses.ts";
import type { Other } from "./facts.ts";
import { indexOf, isRevealed, scoreOf, withTry, type Answer, type Record as Answers, type Score } from "./score.ts";
import type { Judged, Marking, Step } from "./step.ts";
import { pictureName } from "../i18n/names.ts";

export class Lesson {
  readonly #session: Session;
  /** Of each course, by the step's name. */
  #records = $state.raw<Readonly<Partial<Record<Course, Answers>>>>({});
  /** Whether the page is a phone's: its panel follows the steps, and the card lies below it. */
  narrow = $state(false);
  /** Name of the step that is shown, so that another model's steps go on from it. */
  #shown = "";

  readonly course: Course = $derived.by(() => this.#session.selection.course);
  readonly isOpen: boolean = $derived.by(() => this.#session.selection.step !== null && this.#session.trace !== null);
  readonly steps: readonly Step[] = $derived.by(() => {
    const { untouched: trace, truth } = this.#session;
    if (!this.isOpen || !trace) return [];
    const verdict = verdictOf(trace.probabilities, truth, trace.labels);
    return makeSteps(this.course, {
      trace,
      truth,
      verdict,
      others: this.#others,
      canAsk: this.#session.model !== null,
    });
  });
  readonly #others: readonly Other[] = $derived.by(() => {
    const { pictures, marks, shownPicture } = this.#session;
    return pictures.flatMap((picture) => {
      const mark = marks[picture.id];
      return mark && picture !== shownPicture ? [{ id: picture.id, name: pictureName(picture), ...mark }] : [];
    });
  });
  /** Counted from 0; the number of steps at the end. */
  readonly index: number = $derived.by(() => Math.min(this.#session.selection.step ?? 0, this.steps.length));
  /** Null at the end. */
  readonly step: Step | null = $derived.by(() => this.steps[this.index] ?? null);
  readonly answers: Answers = $derived.by(() => this.#records[this.course] ?? {});
  readonly score: Score = $derived.by(() => scoreOf(this.steps, this.answers));
  readonly tries: number = $derived.by(() => PLANS[this.course].tries);
  /** Names picture and model. */
  readonly subject: string = $derived.by(
    () => `${this.#session.shownModel?.id ?? ""} ${this.#session.shownPicture?.id ?? ""}`,
  );
  /** To the shown step, on this picture. */
  readonly answer: Answer | undefined = $derived.by(() => {
    const answer = this.answers[this.step?.name ?? ""];
    return answer?.subject === this.subject ? answer : undefined;
  });
  readonly judged: Judged | null = $derived.by(() => this.step && this.judge(this.step));
  /** Whether the shown step was answered on another picture. */
  readonly isElsewhere: boolean = $derived.by(() => !this.answer && this.answers[this.step?.name ?? ""] !== undefined);
  readonly isRevealed: boolean = $derived.by(
    () => this.step !== null && (this.step.question === null || isRevealed(this.answer, this.tries)),
  );
  /** A station is open in front of the course. */
  readonly isAway: boolean = $derived.by(() => this.isOpen && !this.narrow && this.#session.selection.station !== null);
  /** Whether path, feet and equation would give the answer away. */
  readonly asking: boolean = $derived.by(
    () => this.isOpen && !this.isAway && this.step !== null && this.step.hides && !this.isRevealed,
  );
  /** The stages that the veil leaves open; null: no veil. */
  readonly spotlight: readonly Spot[] | null = $derived.by(() =>
    this.isOpen && !this.isAway && this.step ? this.step.stages.map((stage) => ({ stage, layer: null })) : null,
  );

  constructor(session: Session) {
    this.#session = session;
  }

  start(course: Course): void {
    this.#session.selection.set({ course, step: 0, station: null, token: null });
  }

  go(index: number): void {
    const step = Math.max(0, Math.min(index, this.steps.length));
    this.#session.selection.set({ step, token: null, ...this.#placeOf(this.steps[step]) });
  }

  /** A phone shows the step's station; the drawing shows all of them. */
  #placeOf(step: Step | undefined): Pick<Choices, "station" | "layer"> {
    return { station: this.narrow && step ? step.place : null, layer: step?.layer ?? 0 };
  }

  leave(): void {
    this.#session.selection.set({ step: null, token: null, layer: 0, head: null });
  }

  again(): void {
    this.#records = { ...this.#records, [this.course]: {} };
    this.go(0);
  }

  take(given: number, marking: Marking): void {
    const { step } = this;
    if (!step?.question) return;
    const { right } = step.question.check(given, marking),
      answer = withTry(this.answers[step.name], { given, right, marking, subject: this.subject });
    this.#records = { ...this.#records, [this.course]: { ...this.answers, [step.name]: answer } };
    this.light();
  }

  /** What the last try at a step is worth, on this picture. */
  judge({ name, question }: Step): Judged | null {
    const answer = this.answers[name];
    return question && answer?.subject === this.subject
      ? question.check(answer.given[answer.given.length - 1], answer.marking)
      : null;
  }

  /** Light what the shown step is about, once its answer is there. */
  light(): void {
    const light = this.step?.light ?? null;
    if (this.isRevealed && light !== null) this.#session.selection.token = light;
  }

  /**
   * A step has come, or another picture: show what it is about, and the picture as it came. Another model's steps go on
   * from the same one.
   */
  arrive(isNew: boolean): void {
    if (this.#session.isChanged) this.#session.edits.restore();
    const { step } = this,
      { selection } = this.#session;
    const before = this.#shown;
    if (isNew && before && before !== step?.name) {
      this.#shown = "";
      return this.go(indexOf(this.steps, before));
    }
    this.#shown = step?.name ?? "";
    if (!step) return;
    const place = this.narrow ? this.#placeOf(step) : { layer: step.layer };
    selection.set({ target: null, reference: null, head: step.head, ...place });
    this.light();
  }
}

const lessons = new WeakMap<Session, Lesson>();

/** The lesson of a page, made once. In a root of its own, since it outlives the component that asks first. */
export function lessonOf(session: Session): Lesson {
  if (!lessons.has(session)) $effect.root(() => void lessons.set(session, new Lesson(session)));
  return lessons.get(session) as Lesson;
}
