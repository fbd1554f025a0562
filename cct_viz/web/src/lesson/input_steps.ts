// Steps from the picture to its tokens.

import { argmax } from "../core/maths.ts";
import { channelMap, rankChannels } from "../derive/features.ts";
import { t } from "../i18n/index.ts";
import { number, percent } from "../i18n/numbers.ts";
import { tokensAt } from "../widgets/windows.ts";
import { askOption, askPatch, askToken, tokensWhere, type Facts } from "./facts.ts";
import { makeStep, type Step } from "./step.ts";

/** Width and height that many classifiers are given: a wrong answer where the picture has as few pixels as the input. */
const COMMON = 224;

const sizeWords = (width: number, height: number): string => t("lesson.size", { width, height });

export function pixels({ trace }: Facts): Step {
  const [height, width] = trace.config.imageSize,
    [top, left, bottom, right] = trace.geometry.box,
    { rows, columns } = trace.grid,
    whole = (bottom - top) * (right - left) > height * width;
  const sizes = [
    whole ? ([right - left, bottom - top] as const) : ([COMMON, COMMON] as const),
    [width, height] as const,
  ];
  if (rows * columns < height * width) sizes.push([columns, rows]);
  const options = sizes.map(([w, h], id) => ({ id, text: sizeWords(w, h) })),
    size = sizeWords(width, height),
    share = (height * width) / ((bottom - top) * (right - left));
  return makeStep({
    name: "pixels",
    title: t("lesson.pixels.title"),
    text: [],
    question: askOption(t("lesson.pixels.question"), options, 1, t("lesson.itIs", { answer: size }), (id) =>
      t(id === 1 ? "lesson.pixels.right" : id === 2 ? "lesson.pixels.tokens" : "lesson.pixels.wrong", { size }),
    ),
    reveal: whole
      ? t("lesson.pixels.reveal", { size, count: height * width, share: percent(share) })
      : t("lesson.pixels.all", { size, count: height * width }),
    takeaway: t("lesson.pixels.takeaway"),
    stages: ["pixels"],
    place: "pixels",
  });
}

export function convolution(facts: Facts): Step {
  const { trace, at } = facts,
    map = trace.featureMaps[trace.featureMaps.length - 1],
    [channel] = rankChannels(map);
  const values = channelMap(map, channel).map(Math.abs),
    name = channel + 1;
  return makeStep({
    name: "convolution",
    title: t("lesson.convolution.title"),
    text: [
      t("lesson.convolution.text", { channels: map.channels, columns: map.width, rows: map.height }),
      t("lesson.convolution.channel", { channel: name }),
    ],
    question: askPatch(facts, values, {
      text: t("lesson.convolution.question", { channel: name }),
      read: (token) => t("lesson.convolution.read", { value: number(values[token]) }),
    }),
    reveal: t("lesson.convolution.reveal", { channel: name, place: at(argmax(values)) }),
    takeaway: t("lesson.convolution.takeaway"),
    stages: ["pixels", "convolution"],
    place: "convolution",
    light: argmax(values),
    map: { values, ramp: "neutral" },
  });
}

/** How many tokens see one pixel. */
export function tokens({ trace, n }: Facts): Step {
  const [height, width] = trace.config.imageSize,
    stage = trace.stages[trace.stages.length - 1],
    { channels, width: columns, height: rows } = trace.featureMaps[trace.featureMaps.length - 1],
    centreTokens = tokensAt(trace, height >> 1, width >> 1),
    seers = centreTokens.length,
    [high, wide] = stage.windowSize,
    gap = wide - stage.stride[1];
  const other = seers === n ? Math.ceil(n / 2) : seers === 1 ? Math.min(4, n) : seers;
  const counts = [...new Set([1, other, n])];
  return makeStep({
    name: "tokens",
    title: t("lesson.tokens.title"),
    text: [t("lesson.tokens.text", { channels, columns, rows })],
    question: askOption(
      t("lesson.tokens.question", { count: n }),
      counts.map((count) => ({ id: count, text: `${count}` })),
      seers,
      t("lesson.itIs", { answer: seers }),
      (count) =>
        t(count === seers ? "lesson.tokens.right" : count < seers ? "lesson.tokens.more" : "lesson.tokens.fewer"),
    ),
    reveal: t(gap > 0 ? "lesson.tokens.overlap" : "lesson.tokens.apart", {
      count: seers,
      across: new Set(centreTokens.map((token) => token % columns)).size,
      down: new Set(centreTokens.map((token) => Math.floor(token / columns))).size,
      size: sizeWords(wide, high),
      stride: stage.stride[1],
    }),
    takeaway: t("lesson.tokens.takeaway"),
    stages: ["pixels", "convolution"],
    place: "tokens",
    light: centreTokens[centreTokens.length >> 1],
  });
}

/** Which tokens share no pixel with the strongest one. */
export function window(facts: Facts): Step {
  const { trace, n, at, At, evidence, contribution } = facts,
    [height, width] = trace.config.imageSize;
  const shared = (s: number, u: number): [number, number] => {
    const [y0, x0, y1, x1] = trace.receptiveFields.subarray(4 * s, 4 * s + 4),
      [v0, u0, v1, u1] = trace.receptiveFields.subarray(4 * u, 4 * u + 4);
    return [Math.max(0, Math.min(x1, u1) - Math.max(x0, u0)), Math.max(0, Math.min(y1, v1) - Math.max(y0, v0))];
  };
  const apart = (s: number) => tokensWhere(n, (u) => shared(s, u).includes(0)),
    loudest = argmax(contribution ?? evidence),
    framed = apart(loudest).length ? loudest : 0;
  const [y0, x0, y1, x1] = trace.receptiveFields.subarray(4 * framed, 4 * framed + 4);
  return makeStep({
    name: "window",
    title: t("lesson.window.title"),
    text: [
      t("lesson.window.text", {
        place: at(framed),
        size: sizeWords(x1 - x0, y1 - y0),
        all: sizeWords(width, height),
      }),
    ],
    question: askToken(facts, apart(framed).reverse(), {
      text: t("lesson.window.question"),
      read: (token) => {
        const [w, h] = shared(framed, token);
        return w * h ? t("lesson.window.shares", { size: sizeWords(w, h) }) : t("lesson.window.nothing");
      },
      why: (token) => t(token === framed ? "lesson.window.itself" : "lesson.window.further"),
    }),
    reveal: t("lesson.window.reveal", { place: At(framed), count: n - apart(framed).length - 1 }),
    takeaway: t("lesson.window.takeaway"),
    stages: ["pixels", "convolution"],
    place: "tokens",
    framed,
    windows: true,
    light: framed,
    hides: false,
  });
}
