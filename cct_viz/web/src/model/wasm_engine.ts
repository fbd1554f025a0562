/**
 * The engine in WebAssembly: assembly/kernels.ts on a memory of its own. Low in the memory lie the weights, copied once a
 * model, above them a stack of results, of which each scope gives back its part. Results are ordinary Float32Arrays laid
 * over that memory, so that whatever has no kernel may read and write them.
 */

import { FUSED_MULTIPLY, KERNELS } from "virtual:kernels";
import { bytesOf } from "../core/arrays.ts";
import type { Matrix } from "../core/matrix.ts";
import { findActivation } from "./activations.ts";
import type { Config } from "./config.ts";
import type { Engine, Move } from "./engine.ts";
import { memorySize, roundUp, sizeOfPanels } from "./memory_size.ts";

type Address = number;

/** The exports of assembly/kernels.ts. */
interface Kernels {
  pack: (
    b: Address,
    down: number,
    across: number,
    inner: number,
    columns: number,
    bias: Address,
    panels: Address,
  ) => void;
  multiply: (
    a: Address,
    down: number,
    rows: number,
    inner: number,
    panels: Address,
    out: Address,
    outDown: number,
    columns: number,
  ) => void;
  softmax: (x: Address, rows: number, columns: number, factor: number, penalty: Address) => void;
  layerNorm: (
    x: Address,
    down: number,
    rows: number,
    columns: number,
    gamma: Address,
    beta: Address,
    epsilon: number,
    out: Address,
  ) => void;
  add: (x: Address, y: Address, out: Address, count: number) => void;
  relu: (x: Address, count: number) => void;
  gelu: (x: Address, count: number) => void;
  geluTanh: (x: Address, count: number) => void;
  copy: (x: Address, out: Address, count: number) => void;
  larger: (x: Address, out: Address, count: number) => void;
}

const FLOAT = 4; // bytes
const ALIGNMENT = 16;
const PAGE = 65536;
const NOWHERE: Address = 0;

/** How many floats lie between the first and the last entry of a matrix, both among them. */
const extentOf = (x: Matrix): number =>
  x.rows && x.columns ? (x.rows - 1) * x.down + (x.columns - 1) * x.across + 1 : 0;

/**
 * Null where the browser has no WebAssembly with SIMD, or the page's Content-Security-Policy forbids it.
 * @param modules in base64; a later one replaces kernels of those before it, where the browser knows its instructions
 */
export function createWasmEngine(
  config: Config,
  modules: readonly string[] = [KERNELS, FUSED_MULTIPLY],
): Engine | null {
  try {
    const [all, ...better] = modules.map(bytesOf);
    const known = [all, ...better.filter((bytes) => WebAssembly.validate(bytes))];
    const memory = new WebAssembly.Memory({ initial: Math.ceil((memorySize(config) * FLOAT) / PAGE) });
    const start = (bytes: BufferSource) => new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    const kernels = Object.assign({}, ...known.map((bytes) => start(bytes).exports)) as Kernels;
    return engineOn(kernels, memory.buffer);
  } catch {
    return null; // not known, forbidden, or too little memory
  }
}

/** @param buffer the kernels' memory, which never grows: that would detach the arrays laid over it */
function engineOn(kernels: Kernels, buffer: ArrayBuffer): Engine {
  let top = ALIGNMENT; // so that no array lies NOWHERE
  let depth = 0;

  function reserve(floats: number): Address {
    const address = top;
    top += roundUp(floats * FLOAT, ALIGNMENT);
    if (top > buffer.byteLength) throw new Error("the model needs more memory than memorySize says");
    return address;
  }

  function scope<R>(work: () => R): R {
    const before = top;
    depth++;
    try {
      return work();
    } finally {
      depth--;
      top = before;
    }
  }

  const isHere = (values: Float32Array): boolean => values.buffer === buffer;

  function put(values: Float32Array): Address {
    const address = reserve(values.length);
    new Float32Array(buffer, address, values.length).set(values);
    return address;
  }

  /** Where a matrix begins; one from elsewhere is copied first. */
  function addressOf(x: Matrix): Address {
    if (isHere(x.values)) return x.values.byteOffset + x.start * FLOAT;
    return put(x.values.subarray(x.start, x.start + extentOf(x)));
  }

  function matrix(rows: number, columns: number): Matrix {
    if (!depth) throw new Error("a result needs a scope");
    const address = reserve(rows * columns);
    const values = new Float32Array(buffer, address, rows * columns);
    return { values, rows, columns, start: 0, down: columns, across: 1 };
  }

  function pack(b: Matrix, bias: Float32Array | null): Address {
    const panels = reserve(sizeOfPanels(b.rows, b.columns));
    const before = top; // the matrix itself is needed no longer than it takes to pack it
    const biasAt = bias ? put(bias) : NOWHERE;
    kernels.pack(addressOf(b), b.down, b.across, b.rows, b.columns, biasAt, panels);
    top = before;
    return panels;
  }

  function multiplyPanels(a: Matrix, panels: Address, out: Matrix): Matrix {
    kernels.multiply(addressOf(a), a.down, a.rows, a.columns, panels, addressOf(out), out.down, out.columns);
    return out;
  }

  const elementwise = (kernel: (x: Address, count: number) => void) => (x: Matrix) => {
    kernel(addressOf(x), x.rows * x.columns);
    return x;
  };
  const activations: Readonly<Record<string, (x: Matrix) => Matrix>> = {
    gelu: elementwise(kernels.gelu),
    gelu_tanh: elementwise(kernels.geluTanh),
  };
  const move =
    (kernel: (x: Address, out: Address, count: number) => void): Move =>
    (from, source, to, target, count) =>
      kernel(from.byteOffset + source * FLOAT, to.byteOffset + target * FLOAT, count);

  return {
    scope,
    matrix,
    take(values) {
      if (isHere(values)) return values;
      return new Float32Array(buffer, put(values), values.length);
    },
    dense(kernel, bias) {
      const panels = pack(kernel, bias);
      return (x, out = matrix(x.rows, kernel.columns)) => multiplyPanels(x, panels, out);
    },
    norm(gamma, beta, epsilon) {
      const [g, b] = [put(gamma), put(beta)];
      return (x) => {
        const out = matrix(x.rows, x.columns);
        kernels.layerNorm(addressOf(x), x.down, x.rows, x.columns, g, b, epsilon, addressOf(out));
        return out;
      };
    },
    multiply: (a, b, out = matrix(a.rows, b.columns)) => scope(() => multiplyPanels(a, pack(b, null), out)),
    softmaxRows(x, factor, penalty) {
      scope(() => kernels.softmax(addressOf(x), x.rows, x.columns, factor, penalty ? put(penalty) : NOWHERE));
      return x;
    },
    add(x, y) {
      const out = matrix(x.rows, x.columns);
      scope(() => kernels.add(addressOf(x), addressOf(y), addressOf(out), x.rows * x.columns));
      return out;
    },
    relu: elementwise(kernels.relu),
    activation: (name) => activations[name] ?? findActivation(name),
    copy: move(kernels.copy),
    larger: move(kernels.larger),
  };
}
