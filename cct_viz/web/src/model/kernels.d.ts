declare module "virtual:kernels" {
  /** assembly/kernels.ts in WebAssembly as base64, with fused multiply-add (relaxed SIMD). */
  export const FUSED: string;
  /** The same for browsers that have only SIMD. */
  export const PLAIN: string;
}
