// The contributions add up to the score, and the scores become shares.

import { discsOf } from "../hero/discs.ts";
import { percent, signed } from "../i18n/numbers.ts";
import { cover, type Context, type Paint } from "./paint.ts";
import { cellAt, ease, part, type Frame } from "./scenes.ts";
import { BARS, PIPED } from "./view.ts";

const ON_PHOTO = { for: "#c2410c", against: "#48657f", weight: "#6440cc" } as const; // as Discs: the same in both themes
const FONT = "Inter, system-ui, sans-serif";

/** First the bars of evidence grow, then the contributions are added one by one, from the first token to the last. */
export function drawSum(context: Context, paint: Paint, frame: Frame): void {
  const { layout, running, sumX, lengthX, pooling } = paint.drawn.scene,
    { colours } = paint,
    { sum, evidence } = layout,
    grown = ease(part(frame.progress, 0, 0.26));
  if (!sum || !evidence || !pooling) return;
  growEvidence(context, paint, grown);
  const done = frame.share * layout.tokens,
    token = cellAt(frame.share, layout.tokens),
    [y, height] = layout.segment(token),
    inside = Math.min(1, done - token),
    level = frame.share === 1 ? layout.bottom : y + height * inside;
  if (frame.share === 1) return;
  const left = evidence.x + evidence.width + 1,
    right = (layout.classes?.x ?? layout.width) - 4;
  cover(context, colours.paper, left, level, right - left, layout.height - level);
  cover(context, colours.paper, left, layout.top - 2, right - left, frame.share === 0 ? layout.height : 0);
  if (frame.share === 0) return;
  const value = running[token] + (running[token + 1] - running[token]) * inside,
    length = pooling.lengths[token],
    positive = pooling.contributions[token] >= 0,
    colour = positive ? colours.for : colours.against,
    tip = sumX(value),
    start = Math.min(lengthX(0), lengthX(length));
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(Math.max(lengthX(0), lengthX(length)), level);
  context.lineTo(tip, level);
  context.stroke();
  context.strokeStyle = colours.ink;
  context.lineWidth = height > 8 ? 2 : 1;
  context.strokeRect(start, y, Math.max(1, Math.abs(lengthX(length) - lengthX(0))), Math.max(2, height));
  context.fillStyle = colours.for;
  context.beginPath();
  context.arc(tip, level, 4, 0, 2 * Math.PI);
  context.fill();
  write(context, signed(value), tip + 8, level + (level > layout.bottom - 20 ? -8 : 16), {
    colour: value < 0 ? colours.against : colours.for,
    paper: colours.paper,
    font: `600 16px ${FONT}`,
  });
}

/** Hide what has not grown of the bars and of the strips that join them to the pool. */
function growEvidence(context: Context, { drawn, colours }: Paint, grown: number): void {
  const { layout, lengthX, pooling } = drawn.scene;
  if (grown === 1 || !pooling || !layout.evidence) return;
  const zero = lengthX(0),
    right = layout.evidence.x + layout.evidence.width + 1;
  for (let t = 0; t < layout.tokens; t++) {
    const [y, height] = layout.segment(t),
      end = lengthX(pooling.lengths[t]),
      now = zero + (end - zero) * grown;
    // To the right of a bar goes the line of the lit token.
    if (end >= zero) cover(context, colours.paper, now, y - 0.5, right - now, height + 1);
    else cover(context, colours.paper, end, y - 0.5, now - end, height + 1);
  }
}

/** How many discs a frame shows on the photo. */
export const discsAt = ({ scene, share, token }: Frame, tokens: number): number =>
  scene.name === "classes" ? tokens : scene.name !== "sum" || share === 0 ? 0 : (token ?? tokens) + 1;

/** On the photo, what the first tokens add, or with a class token what it attends to. */
export function drawDiscs(context: Context, { drawn: { scene } }: Paint, tokens: number): void {
  for (const { x, y, radius, kind, token } of discsOf(scene)) {
    if (token >= tokens) break;
    context.globalAlpha = 0.82;
    context.fillStyle = ON_PHOTO[kind];
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = "#fff";
    context.lineWidth = 1;
    context.stroke();
  }
}

/** The score flows to its bar; then all bars grow together to their shares. */
export function drawClasses(context: Context, paint: Paint, { progress }: Frame): void {
  const { scene } = paint.drawn,
    { layout, classRows, trace } = scene,
    { classes } = layout,
    { colours } = paint;
  if (!classes || progress < PIPED[1]) return;
  const grown = ease(part(progress, ...BARS));
  if (grown === 1) return;
  classRows.rows.forEach(({ index, bar }, i) => {
    const share = trace.probabilities[index],
      { x, width } = classes,
      now = Math.max(bar.height, bar.width * grown);
    cover(context, colours.paper, x + now, bar.y - 0.5, width - now + 1, bar.height + 1);
    context.fillStyle = colours.faint;
    context.beginPath();
    context.roundRect(x + now, bar.y, width - now, bar.height, [0, bar.height / 2, bar.height / 2, 0]);
    context.fill();
    const large = i === 0,
      text = percent(share * grown),
      y = large ? bar.y - 14 : bar.y - 6;
    cover(context, colours.paper, layout.width - (large ? 92 : 50), y - (large ? 22 : 13), 96, large ? 30 : 18);
    context.textAlign = "right";
    context.font = large ? `650 24px ${FONT}` : `400 13px ${FONT}`;
    context.fillStyle = large ? colours.ink : colours.soft;
    context.fillText(text, layout.width, y);
  });
}

function write(
  context: Context,
  text: string,
  x: number,
  y: number,
  { colour, paper, font }: { colour: string; paper: string; font: string },
): void {
  context.font = font;
  context.textAlign = "left";
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = paper;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
