/** The photo of a trace as the drawing shows it. */
export interface Photo {
  /** A data: or blob: address. */
  readonly address: string;
  /** Whether it has clearly more pixels than the model gets; else its pixels are drawn as squares. */
  readonly sharp: boolean;
}
