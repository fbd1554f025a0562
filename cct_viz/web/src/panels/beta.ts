// The place of an inverse temperature on a slider: even from 0 to 1, from there to 8 by doubling.

const ONE = 20;
export const BETA_END = 60;
const HIGHEST = 8;
const OCTAVES = Math.log2(HIGHEST);

export const betaAt = (x: number): number => (x <= ONE ? x / ONE : 2 ** ((OCTAVES * (x - ONE)) / (BETA_END - ONE)));

export const betaPlace = (beta: number): number =>
  Math.min(BETA_END, beta <= 1 ? ONE * beta : ONE + ((BETA_END - ONE) * Math.log2(beta)) / OCTAVES);
