// The lesson: a card above the explorer that leads through it, asks a question at each step and keeps the score.

import { fresh, h, say } from "./dom.js";
import { makeSteps } from "./lesson_steps.js";
import { backToModel } from "./pooling.js";
import { changed } from "./store.js";
import { plural } from "./words.js";

/**
 * @typedef {object} Answer to one step's question
 * @property {number} tries @property {boolean} right once it was @property {string} words what was last said to it
 *
 * @typedef {object} Lesson
 * @property {string | null} step its name; null is the first, and END what comes after the last
 * @property {Object<string, Answer>} answers by the step's name
 */

const END = "end", ELSEWHERE = "You have gone elsewhere in the explorer. What you touch here does not count.";
const REWEIGHED = "The pooling laboratory is on, so the numbers are not the model's. What you touch here does not count.";
const KEPT = ["station", "attentionView", "layer", "head", "feature", "a", "b"]; // whoever changes these has left the step's place
const BEFORE = "You met this question on another picture.";

/** Whether the address asks for the lesson: #lesson, alone or beside other words. */
const isAsked = (hash) => new URLSearchParams(hash.slice(1)).has("lesson");

/** The lesson that a mounted explorer begins with: the one that goes on, or the first of an address that asks for it. @returns {Lesson | null} */
export function firstLesson({ exclusive }, previous, hash) {
  if (!exclusive) return null; // its steps compare the best class with the next
  if (!previous) return isAsked(hash) ? { step: null, answers: {} } : null;
  const { lesson } = previous.store.state;
  if (!lesson) return null;
  const answers = Object.entries(lesson.answers).map(([name, answer]) => [name, { ...answer, words: BEFORE }]);
  return { ...lesson, answers: Object.fromEntries(answers.filter(([name]) => name !== lesson.step)) };
}

/** @param {import("./main.js").Explorer} explorer */
export function createLesson(explorer) {
  const { data, store, derived } = explorer, id = fresh("lesson");
  let made = null, left = null, shown = null;
  const steps = () => (made ??= makeSteps(explorer));
  const indexOf = (name) => (name === END ? steps().length : steps().findIndex((step) => step.name === name));
  const stepOf = (state) => steps()[indexOf(state.lesson.step)];

  const where = h("p", { class: "where" }), marks = h("span", { class: "done", "aria-hidden": "true" });
  const title = h("h2", { id, tabindex: "-1" }), text = h("div", { class: "text" }), ask = h("div", { class: "ask" });
  const question = h("p", { class: "question" }), choices = h("div", { class: "choices", role: "group", "aria-label": "Answers" });
  const feedback = h("p", { class: "feedback", role: "status" }), score = h("span", { class: "line" });
  const toldAway = h("span", { role: "status" }), comeBack = h("button", { type: "button", onclick: () => go(store.state.lesson.step) }, "Go back there");
  const away = h("div", { class: "away" }, toldAway, comeBack);
  const back = h("button", { type: "button", onclick: () => go(neighbour(-1)) }, "Back");
  const next = h("button", { type: "button", class: "primary", onclick: () => go(neighbour(1)) });
  const again = h("button", { type: "button", onclick: () => go(steps()[0].name, {}) }, "Start again");
  const read = h("button", { type: "button", onclick: () => store.set({ station: "source" }) }, "Read the code");
  read.hidden = !explorer.inside?.sources;
  const leave = h("button", { type: "button", onclick: close }, "Leave");
  const foot = h("div", { class: "foot" }, feedback, h("div", { class: "row" }, back, next, again, read, score));
  ask.append(question, choices);
  const answering = h("div", { class: "answering" }, ask, foot);
  const element = h("section", { class: "card lesson", "aria-labelledby": id, hidden: true },
    h("div", { class: "top" }, where, marks, leave), away, title, h("div", { class: "halves" }, text, answering));
  const button = h("button", { type: "button", "aria-expanded": "false", onclick: () => (store.state.lesson ? close() : open()) }, "Lesson");
  button.disabled = !data.exclusive;
  if (!data.exclusive) button.title = "The lesson compares the two best classes; this model answers for each class alone.";

  function neighbour(by) {
    const i = indexOf(store.state.lesson.step) + by;
    return steps()[i]?.name ?? END;
  }

  /** What the store is given at a step: the model's own pooling, no token chosen, and what the step shows. */
  const placeOf = (step) => ({ ...backToModel(), token: null, held: null, pinned: [], ...step?.place });

  /** Go to a step, with the card at the top of the window and the keys' focus on its heading. */
  function go(name, answers = store.state.lesson?.answers ?? {}) {
    store.set({ ...placeOf(steps()[indexOf(name)]), lesson: { step: name, answers } });
    store.flush();
    title.focus({ preventScroll: true });
    element.scrollIntoView({ block: "start", behavior: "instant" });
  }

  function open() {
    const from = left && left.step !== END ? left : { step: steps()[0].name, answers: {} };
    go(from.step, from.answers);
  }

  function close() {
    left = store.state.lesson;
    store.set({ lesson: null });
    store.flush();
    button.focus();
  }

  /** Take an answer and say at once what it is worth; once right, a step is answered. */
  function take(given) {
    const { lesson } = store.state, step = stepOf(store.state), before = lesson.answers[step.name];
    if (before?.right) return;
    const { right, words } = step.question.check(given), tries = (before?.tries ?? 0) + 1;
    const said = `${right ? "✓ Right." : "✗ Not yet."} ${words}${!right && tries > 1 ? ` ${step.question.answer}` : ""}`;
    store.set({
      lesson: { ...lesson, answers: { ...lesson.answers, [step.name]: { tries, right, words: said } } },
      ...(!right && step.question.release ? { held: null } : {}),
    });
  }

  const isReweighed = (state, { place }) => place.station !== "laboratory" && !derived.isModel(state);
  const isElsewhere = (state, { place, free = [] }) => KEPT.some((name) => name in place && !free.includes(name) && !same(place[name], state[name]));
  const isAway = (state, step) => isElsewhere(state, step) || isReweighed(state, step);

  function drawStep(state, step) {
    const at = indexOf(step.name);
    say(where, `Lesson, step ${at + 1} of ${steps().length} · ${data.about.picture}`);
    say(title, step.title);
    text.replaceChildren(...step.sentences.map((sentence) => h("p", {}, sentence)));
    say(question, step.question ? step.question.text : "Nothing to ask here: on this picture all values are nearly alike.");
    const kind = step.question?.kind, offered = kind === "state" ? [[null, "Check"]] : step.question?.options ?? [];
    const answer = (value) => () => take(kind === "state" ? store.state : value);
    choices.replaceChildren(...offered.map(([value, name]) => h("button", { type: "button", onclick: answer(value) }, name)));
    choices.hidden = !choices.childElementCount;
    back.hidden = at === 0;
    say(next, at === steps().length - 1 ? "Finish" : "Next");
  }

  function drawEnd({ lesson: { answers } }) {
    const asked = steps().filter((step) => step.question), right = asked.filter(({ name }) => answers[name]?.right);
    say(where, `Lesson, done · ${data.about.picture}`);
    say(title, `${right.length} of ${asked.length} answered right`);
    text.replaceChildren(
      h("p", {}, `${right.length} of ${plural(asked.length, "question")} right on ${data.about.picture}, ${firstTries(right, answers)} at the first try.`),
      h("ol", { class: "answers" }, asked.map(({ name, title: of }) => h("li", {}, h("b", {}, of), ` ${inWords(answers[name])}`))));
    back.hidden = false;
  }

  function drawScore({ lesson: { step: name, answers } }) {
    const asked = steps().filter((step) => step.question), right = asked.filter((step) => answers[step.name]?.right);
    say(score, `${right.length} of ${asked.length} right, ${firstTries(right, answers)} at the first try`);
    marks.replaceChildren(...steps().map((step) => h("i", { class: step.name === name ? "now" : "" }, answers[step.name]?.right ? "✓" : "")));
  }

  function draw(state, before) {
    const { lesson } = state, isOpen = lesson !== null;
    element.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) { shown = null; return; }
    const step = stepOf(state), ends = !step;
    const isTouched = before && state.touched && changed(state, before, "touched");
    if (isTouched && step?.question?.kind === "token" && !isAway(state, step)) take(state.touched.token);
    if (shown !== lesson.step) { if (ends) drawEnd(state); else drawStep(state, step); }
    for (const part of [ask, feedback, next, score]) part.hidden = ends;
    again.hidden = !ends;
    const gone = !ends && isAway(state, step);
    away.classList.toggle("on", gone); // always there, or a screen reader would not follow it
    comeBack.hidden = !gone;
    say(toldAway, !gone ? "" : isElsewhere(state, step) ? ELSEWHERE : REWEIGHED);
    if (shown === lesson.step && !changed(state, before, "lesson")) return;
    const answer = lesson.answers[lesson.step];
    drawScore(state);
    say(feedback, answer?.words ?? "");
    feedback.classList.toggle("right", Boolean(answer?.right));
    if (shown === lesson.step && answer) answering.scrollIntoView({ block: "nearest" });
    shown = lesson.step;
  }

  const asked = store.state.lesson;
  if (asked) {
    const name = indexOf(asked.step) >= 0 ? asked.step : steps()[0].name;
    store.set({ ...placeOf(steps()[indexOf(name)]), lesson: { ...asked, step: name } });
  }
  addEventListener("hashchange", () => { if (element.isConnected && isAsked(location.hash) && !store.state.lesson) open(); }, { signal: explorer.lifetime.signal });

  return { element, button, draw };
}

const firstTries = (steps, answers) => steps.filter(({ name }) => answers[name].tries === 1).length;

function inWords(answer) {
  if (!answer) return "not answered";
  if (!answer.right) return `not yet, after ${answer.tries === 1 ? "1 try" : `${answer.tries} tries`}`;
  return answer.tries === 1 ? "right at the first try" : `right after ${answer.tries} tries`;
}

const same = (a, b) => a === b || (typeof a === "object" && a !== null && JSON.stringify(a) === JSON.stringify(b));
