/** The messages between the page and the worker that runs a model. */

import type { ProblemKey, ProblemValues } from "../core/problem.ts";
import type { Step, TokenMask } from "./forward.ts";
import type { Computed } from "./make_trace.ts";

/** To the worker. `id` names a job; its replies carry the same. */
export type Request =
  | { readonly kind: "open"; readonly id: number; readonly config: string; readonly weights: ArrayBuffer }
  | { readonly kind: "trace"; readonly id: number; readonly pixels: Uint8Array; readonly mask: TokenMask }
  | {
      readonly kind: "answers";
      readonly id: number;
      readonly pixels: Uint8Array;
      readonly masks: readonly TokenMask[];
      /** Waits while anything else is to be done. */
      readonly background: boolean;
    }
  | { readonly kind: "cancel"; readonly ids: readonly number[] };

/** From the worker. */
export type Reply =
  | { readonly id: number; readonly kind: "open" }
  | { readonly id: number; readonly kind: "step"; readonly done: number; readonly all: number; readonly next: Step }
  | { readonly id: number; readonly kind: "trace"; readonly trace: Computed }
  /** The logits (K,) of one of the masks; the job is done with the last of them. */
  | { readonly id: number; readonly kind: "answer"; readonly index: number; readonly logits: Float32Array }
  | {
      readonly id: number;
      readonly kind: "error";
      readonly message: string;
      /** What the page says in its own language; null: an error that no text is for. */
      readonly problem: { readonly key: ProblemKey; readonly values: ProblemValues } | null;
    };
