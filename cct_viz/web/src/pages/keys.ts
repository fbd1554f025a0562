// Keys that work anywhere on the page.

import type { Session } from "../core/session.svelte.ts";
import { journeyOf } from "../journey/journey.svelte.ts";
import { lessonOf } from "../lesson/lesson.svelte.ts";
import { shownCode } from "../qr/shown.svelte.ts";
import { cellBeside } from "../widgets/cells.ts";
import { STATIONS, type Place, type Station } from "../core/state.svelte.ts";

/** A field or a slider keeps its keys; so does a group of tabs or radio buttons. */
const keepsKeys = (event: KeyboardEvent): boolean => {
  const keepers = event.key === "Escape" ? "dialog" : "input, select, textarea, [role=slider], dialog";
  return event.composedPath().some((element) => element instanceof Element && element.matches(keepers));
};

/** The stations that a model has, one an attention layer, in the order of the digits. */
export function stopsOf(layers: number): { station: Station; layer: number }[] {
  return STATIONS.flatMap((station) =>
    Array.from({ length: station === "attention" ? layers : 1 }, (_, layer) => ({ station, layer })),
  );
}

/** The stop of an open station; the pool where none is open. */
export function stopAt(
  stops: readonly { station: Station; layer: number }[],
  station: Place | null,
  layer: number,
): number {
  const exact = stops.findIndex(
    (stop) => stop.station === station && (station !== "attention" || stop.layer === layer),
  );
  return exact >= 0 ? exact : stops.findIndex((stop) => stop.station === "pool");
}

/** Ctrl or Cmd with Z undoes a change of the picture, with Shift it is done again. A field undoes what was typed. */
function onUndo(event: KeyboardEvent, { edits }: Session): void {
  if ((event.target as Element).matches("input:not([type=range], [type=checkbox]), textarea")) return;
  event.preventDefault();
  if (event.shiftKey) edits.redo();
  else edits.undo();
}

export function onKey(event: KeyboardEvent, session: Session): void {
  const { selection, trace } = session;
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) onUndo(event, session);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !trace || keepsKeys(event)) return;
  if (event.key === "Escape") leave(session);
  else if (journeyOf(session).isOpen && onFilmKey(event, session)) event.preventDefault();
  else if (event.key === "p" || event.key === "P") selection.presenter = !selection.presenter;
  else if (selection.presenter && (event.key === "q" || event.key === "Q")) shownCode.open = true;
  else if (/^[1-9]$/.test(event.key)) {
    const stop = stopsOf(trace.config.numLayers)[Number(event.key) - 1];
    if (stop) selection.open(stop.station, stop.layer);
  } else if (selection.presenter && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    const stops = stopsOf(trace.config.numLayers);
    const stop = stops[stopAt(stops, selection.station, session.layer) + (event.key === "ArrowRight" ? 1 : -1)];
    if (stop) selection.open(stop.station, stop.layer);
    event.preventDefault();
  } else {
    const token = cellBeside(session.kept ?? session.strongest, event, trace.grid);
    if (token === null || !event.key.startsWith("Arrow")) return; // Home and End scroll
    event.preventDefault();
    selection.hover = null;
    selection.token = token;
  }
}

/** Whether the film takes the key: space plays and pauses, the arrows go from scene to scene. */
function onFilmKey(event: KeyboardEvent, session: Session): boolean {
  const journey = journeyOf(session),
    step = ({ ArrowLeft: -1, ArrowRight: 1 } as const)[event.key];
  if (step) journey.step(step);
  else if (event.key === " " && !onButton(event)) journey.toggle();
  else return false;
  return true;
}

/** The space bar presses a button that has the focus. */
const onButton = (event: KeyboardEvent): boolean =>
  event.composedPath().some((element) => element instanceof Element && element.matches("button, a, summary"));

/** Esc leaves one thing after the other: the film, the presenter, the tour, the kept token, the station. */
function leave(session: Session): void {
  const { selection, kept } = session;
  if (journeyOf(session).isOpen) journeyOf(session).close();
  else if (selection.presenter) selection.presenter = false;
  else if (selection.step !== null) lessonOf(session).leave();
  else if (kept !== null) selection.token = null;
  else if (selection.station) selection.open(null);
}
