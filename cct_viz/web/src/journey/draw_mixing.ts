// Attention and the pool: the lit token's lines grow, and what they carry moves along them.

import { cover, kept, type Context, type Paint } from "./paint.ts";
import { ease, part, type Frame } from "./scenes.ts";
import { LINES } from "./view.ts";

/** A dot sets out every so many of its ways. */
const DOTS = 3;

/** The lit token collects in a layer, before the other tokens' lines are uncovered. */
export function drawAttention(context: Context, paint: Paint, { scene: { layer }, progress }: Frame): void {
  const { colours } = paint,
    { scene } = paint.drawn,
    { layout } = scene,
    span = layout.spans[layer],
    lines = paint.lines[layer] ?? [];
  if (!span) return;
  const grown = ease(part(progress, ...LINES)),
    fading = 1 - part(progress, 0.85, 1);
  kept(context, () => {
    context.beginPath();
    context.rect(span.x0, 0, (span.x1 + 14 - span.x0) * grown, layout.height);
    context.clip();
    context.fillStyle = colours.weight;
    context.globalAlpha = 0.82;
    for (const { path } of lines) context.fill(path);
  });
  const first = layout.classToken ? 1 : 0;
  context.globalAlpha = fading;
  for (const { key, from, to } of lines)
    for (let i = 0; i < DOTS; i++) {
      const way = part(progress, LINES[0] + 0.12 * i, LINES[0] + 0.12 * i + 0.45);
      if (way === 0 || way === 1) continue;
      const [x, y] = along(from, to, way);
      dot(context, x, y, scene.colours[key - first] ?? colours.soft, colours.paper);
    }
  context.globalAlpha = 1;
}

/** A point of the curve that leaves and arrives horizontally. */
function along(from: { x: number; y: number }, to: { x: number; y: number }, u: number): readonly [number, number] {
  const half = (from.x + to.x) / 2,
    v = 1 - u,
    x = v ** 3 * from.x + 3 * v * v * u * half + 3 * v * u * u * half + u ** 3 * to.x,
    y = (v ** 3 + 3 * v * v * u) * from.y + (3 * v * u * u + u ** 3) * to.y;
  return [x, y];
}

function dot(context: Context, x: number, y: number, colour: string, edge: string): void {
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = edge;
  context.lineWidth = 1.5;
  context.stroke();
}

/** The lit token's share of the pool grows beside its bar. */
export function drawPool(context: Context, { drawn, colours, pooled }: Paint, { progress }: Frame): void {
  const { layout } = drawn.scene;
  // The axis of the evidence reaches left of its column.
  if (layout.evidence) cover(context, colours.paper, layout.pool.x1 + layout.pool.bar + 1, layout.bottom + 4, 60, 42);
  if (!pooled) return;
  const grown = ease(part(progress, 0.7, 0.85)),
    { x, y, width, height } = pooled.segment;
  context.strokeStyle = colours.ink;
  context.lineWidth = 2;
  context.globalAlpha = grown;
  context.strokeRect(x, y, width, height);
  context.globalAlpha = 1;
}
