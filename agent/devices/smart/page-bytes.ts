/** What every page of health records is held against before a figure is taken from it. Pure. */

/** A page that came but can't be used. Its text says which and why. */
export class SmartPageError extends Error {
  override readonly name = "SmartPageError";
}

/**
 * A view of the page. Throws `SmartPageError` for one that is short, or all ones: what a bus gives when nobody answers, and what would read as
 * a device with every warning on.
 */
export function pageView(bytes: Uint8Array, what: string, bytesMin: number): DataView {
  if (bytes.length < bytesMin) {
    throw new SmartPageError(`${what}: ${bytes.length} bytes came, ${bytesMin} are due`);
  }
  if (bytes.length > 0 && bytes.every((byte) => byte === 0xff)) {
    throw new SmartPageError(`${what}: nothing but ones came: the device does not answer properly`);
  }
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** An unsigned number of up to 16 bytes, least significant first; undefined if it is beyond 2^53 − 1, which no counter reaches. */
export function littleEndian(bytes: Uint8Array): number | undefined {
  return bigEndian(bytes.toReversed());
}

/** The same, most significant first. */
export function bigEndian(bytes: Uint8Array): number | undefined {
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Text of a fixed field: trailing spaces and NULs taken off; undefined if nothing is left. */
export function fieldText(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes)
    .toString("latin1")
    .replace(/[^\x20-\x7e]/g, " ")
    .trim();
  return text === "" ? undefined : text;
}

/** The entry without those of its fields that are undefined. */
export function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
