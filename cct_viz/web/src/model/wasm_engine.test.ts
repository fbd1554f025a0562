import { afterEach, describe, expect, it, vi } from "vitest";
import { FUSED_MULTIPLY, KERNELS } from "virtual:kernels";
import { columnsOf, type Matrix, matrix, rowsOf, transpose } from "../core/matrix.ts";
import { shuffle } from "../core/random.ts";
import { readCase } from "../testing/vectors.ts";
import { ACTIVATIONS } from "./activations.ts";
import { type Engine, JAVASCRIPT } from "./engine.ts";
import { createWasmEngine } from "./wasm_engine.ts";

const { config } = readCase("seqpool").model;
/** With and without fused multiply-add; a Node that lacks it computes twice without. */
const MODULES = Object.entries({ plain: [KERNELS], fused: [KERNELS, FUSED_MULTIPLY] });

/** Numbers from -size to size, in a random order. */
const random = (rows: number, columns: number, size = 1): Matrix => {
  const places = shuffle(
    Array.from({ length: rows * columns }, (_, i) => i),
    rows,
  );
  return matrix(
    rows,
    columns,
    Float32Array.from(places, (place) => size * ((2 * place + 1) / places.length - 1)),
  );
};

it("the modules are small", () => {
  expect(KERNELS.length + FUSED_MULTIPLY.length).toBeLessThan(8_000);
});

describe.each(MODULES)("the %s kernels compute as JavaScript does", (_, modules) => {
  const wasm = createWasmEngine({ ...config, mlpDim: 4096 }, modules) as Engine;
  /** The largest difference over the largest value of what both engines make of the same. */
  function differ(compute: (engine: Engine) => ArrayLike<number>): number {
    const [one, other] = [JAVASCRIPT, wasm].map((engine) => engine.scope(() => Float64Array.from(compute(engine))));
    expect(one.length).toBe(other.length);
    const size = Math.max(...one.map(Math.abs), 1e-30);
    return Math.max(0, ...one.map((value, i) => (Object.is(value, other[i]) ? 0 : Math.abs(value - other[i]) / size)));
  }
  const copyOf = (engine: Engine, { rows, columns, values }: Matrix): Matrix => {
    const out = engine.matrix(rows, columns);
    out.values.set(values);
    return out;
  };

  it.each([
    [1, 1, 1],
    [3, 5, 7],
    [4, 8, 8],
    [9, 27, 10],
    [6, 33, 21],
    [0, 4, 3],
    [5, 0, 3],
  ])("a product of (%i, %i) and %i columns", (rows, inner, columns) => {
    const [a, b] = [random(rows, inner), random(inner, columns)];
    const bias = random(1, columns).values;
    expect(differ(({ multiply }) => multiply(a, b).values)).toBeLessThan(1e-6);
    expect(differ(({ multiply }) => multiply(a, transpose(random(columns, inner))).values)).toBeLessThan(1e-6);
    expect(differ((engine) => engine.dense(b, bias)(a).values)).toBeLessThan(1e-6);
  });

  it("a product of parts of matrices, written to a part of one", () => {
    const [a, b] = [random(7, 12), random(9, 12)];
    const part = (engine: Engine) => {
      const out = engine.matrix(7, 11);
      out.values.fill(-1);
      engine.multiply(columnsOf(copyOf(engine, a), 3, 6), transpose(columnsOf(b, 5, 6)), columnsOf(out, 2, 9));
      engine.multiply(rowsOf(copyOf(engine, a), 2, 3), transpose(rowsOf(b, 1, 2)), rowsOf(columnsOf(out, 0, 2), 4, 3));
      return out.values;
    };
    expect(differ(part)).toBeLessThan(1e-6);
  });

  it.each([1, 4, 7, 33])("softmax of rows of %i, and a masked key gets exactly 0", (columns) => {
    const x = random(5, columns, 30);
    const penalty = Float32Array.from({ length: columns }, (_, i) => (i % 3 === 1 ? -1e9 : 0));
    const run = (penalty: Float32Array | null) => (engine: Engine) =>
      engine.softmaxRows(copyOf(engine, x), 0.3, penalty).values;
    expect(differ(run(null))).toBeLessThan(1e-6);
    expect(differ(run(penalty))).toBeLessThan(1e-6);
    const masked = wasm.scope(() => run(penalty)(wasm).slice());
    expect(masked.filter((_, i) => (i % columns) % 3 === 1).every((value) => value === 0)).toBe(true);
  });

  it.each([1, 3, 4, 9, 64])("LayerNorm of rows of %i", (columns) => {
    const [gamma, beta] = [random(1, columns), random(1, columns)];
    const x = random(4, columns, 5);
    const run = (x: Matrix) => (engine: Engine) => engine.norm(gamma.values, beta.values, 1e-5)(x).values;
    expect(differ(run(x))).toBeLessThan(1e-6);
    expect(differ(run(rowsOf(x, 1, 2)))).toBeLessThan(1e-6);
  });

  it.each(Object.keys(ACTIVATIONS))("%s, near and far from 0", (name) => {
    for (const size of [0.1, 3, 50]) {
      const x = random(3, 101, size);
      expect(differ((engine) => engine.activation(name)(copyOf(engine, x)).values)).toBeLessThan(1e-6);
    }
    const ends = matrix(1, 4, Float32Array.of(-1e30, 1e30, 0, -200));
    expect(differ((engine) => engine.activation(name)(copyOf(engine, ends)).values)).toBeLessThan(1e-30);
  });

  it("sums, rectifies, copies and takes the larger", () => {
    const [x, y] = [random(3, 7), transpose(transpose(random(3, 7)))];
    expect(differ((engine) => engine.add(x, y).values)).toBe(0);
    expect(differ((engine) => engine.relu(copyOf(engine, x)).values)).toBe(0);
    const moved = (which: "copy" | "larger") => (engine: Engine) => {
      const [from, to] = [copyOf(engine, x), copyOf(engine, random(3, 7, 2))];
      engine[which](from.values, 2, to.values, 5, 6);
      return to.values;
    };
    expect(differ(moved("copy"))).toBe(0);
    expect(differ(moved("larger"))).toBe(0);
  });
});

it("memory that a scope used is used again, and more than there is is refused", () => {
  const engine = createWasmEngine(config) as Engine;
  const address = () => engine.scope(() => engine.matrix(100, 1).values.byteOffset);
  expect(address()).toBe(address());
  expect(() => engine.scope(() => engine.matrix(1e6, 1))).toThrow("more memory than");
  expect(() => engine.matrix(1, 1)).toThrow("needs a scope");
  expect(address()).toBe(address());
});

describe("without WebAssembly", () => {
  afterEach(() => vi.unstubAllGlobals());
  const { Memory, Instance } = WebAssembly;
  function forbid(): never {
    throw new WebAssembly.CompileError("refused by the page's Content-Security-Policy");
  }

  it.each([
    ["is none", undefined],
    ["has no SIMD or is forbidden", { validate: () => true, Memory, Instance, Module: forbid }],
  ])("where it %s, there is no such engine", (_, replacement) => {
    vi.stubGlobal("WebAssembly", replacement);
    expect(createWasmEngine(config)).toBeNull();
  });
});
