declare module "virtual:kernels" {
  /** assembly/kernels.ts in WebAssembly as base64. */
  export const KERNELS: string;
  /** assembly/multiply.ts with fused multiply-add (relaxed SIMD), which not every browser has. */
  export const FUSED_MULTIPLY: string;
}
