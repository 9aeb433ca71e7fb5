/** Randomness as a port: everything random takes a `Prng`, so a seed replays it. */

export interface Prng {
  /** A uniformly distributed unsigned 32-bit integer. */
  u32(): number;
  /** A uniformly distributed number in [0, 1). */
  float(): number;
  /** A uniformly distributed integer in [0, bound). `bound` must be in 1 … 2^32. */
  below(bound: number): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
  /** A version 4 UUID in lower-case text form. */
  uuid(): string;
}

function fromU32(u32: () => number): Prng {
  const bytes = (length: number): Uint8Array => {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = u32();
      for (let j = 0; j < 4 && i + j < length; j++) out[i + j] = (word >>> (8 * j)) & 0xff;
    }
    return out;
  };
  return {
    u32,
    float: () => u32() / 2 ** 32,
    below: (bound) => Math.floor((u32() / 2 ** 32) * bound),
    bytes,
    uuid: () => formatUuidV4(bytes(16)),
  };
}

function formatUuidV4(raw: Uint8Array): string {
  raw[6] = ((raw[6] ?? 0) & 0x0f) | 0x40;
  raw[8] = ((raw[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(raw).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A repeatable generator (sfc32, as in PractRand): the same seed gives the same sequence on every machine. */
export function seededPrng(seed: number): Prng {
  let a = 0x9e3779b9 | 0;
  let b = 0x243f6a88 | 0;
  let c = seed | 0;
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return t >>> 0;
  };
  for (let i = 0; i < 15; i++) next();
  return fromU32(next);
}

/** The operating system's randomness, for identities. */
export const systemPrng: Prng = fromU32(() => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
