// Reed-Solomon codes over the field of 256 elements with the polynomial x^8 + x^4 + x^3 + x^2 + 1.

const POLYNOMIAL = 0x11d;

function times(a: number, b: number): number {
  let product = 0;
  for (let i = 7; i >= 0; i--) {
    product = (product << 1) ^ ((product >> 7) * POLYNOMIAL);
    if ((b >> i) & 1) product ^= a;
  }
  return product;
}

/** (count + 1) coefficients of (x - 1)(x - 2)(x - 4)..., the leading 1 left out. */
function divisor(count: number): number[] {
  let product = [...Array<number>(count - 1).fill(0), 1],
    root = 1;
  for (let i = 0; i < count; i++) {
    product = product.map((value, j) => times(value, root) ^ (product[j + 1] ?? 0));
    root = times(root, 2);
  }
  return product;
}

/** The `count` codewords that correct a block. */
export function correction(block: readonly number[], count: number): number[] {
  const by = divisor(count);
  let rest = Array<number>(count).fill(0);
  for (const word of block) {
    const factor = word ^ rest[0];
    rest = [...rest.slice(1), 0].map((value, i) => value ^ times(by[i], factor));
  }
  return rest;
}
