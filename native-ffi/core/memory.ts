/** Memory whose address native code may keep for the length of a call, or longer while the caller holds on to it. */
import { ptr } from "bun:ffi";

export const pageBytes = 4096;

/**
 * Zeroed memory whose address is a multiple of `alignment` (a power of two). It belongs to the garbage collector: hold the returned view
 * for as long as native code uses the address. An ArrayBuffer never moves.
 */
export function alignedBytes(length: number, alignment: number = pageBytes): Uint8Array {
  const memory = new ArrayBuffer(length + alignment);
  const skip = (alignment - (addressOf(new Uint8Array(memory)) % alignment)) % alignment;
  return new Uint8Array(memory, skip, length);
}

/** The address of the first byte. Throws RangeError for an empty view, which has none. */
export function addressOf(bytes: NodeJS.TypedArray): number {
  if (bytes.byteLength === 0) throw new RangeError("an empty buffer has no address");
  return ptr(bytes);
}

/** A NUL-terminated copy for a `const char *` argument. */
export function cString(text: string): Uint8Array {
  if (text.includes("\0")) throw new RangeError("a C string cannot contain NUL");
  return Buffer.from(`${text}\0`);
}

/** An array of addresses for a `void **` argument. */
export class AddressArray {
  readonly address: number;
  /** Kept alive because `address` alone does not keep it. */
  readonly #halves: Uint32Array;

  constructor(length: number) {
    this.#halves = new Uint32Array(new ArrayBuffer(Math.max(8, length * 8)));
    this.address = addressOf(this.#halves);
  }

  /** Two stores of 32 bits: a bigint for each would cost more than the rest of a call. */
  set(index: number, bytes: Uint8Array): void {
    this.setAddress(index, ptr(bytes));
  }

  setAddress(index: number, address: number): void {
    this.#halves[2 * index] = address;
    this.#halves[2 * index + 1] = address / 0x1_0000_0000;
  }
}
