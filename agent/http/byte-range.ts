/** The Range header of RFC 9110, for one range of bytes. Pure. */

export interface ByteRange {
  offset: number;
  length: number;
}

/** The range asked for of `sizeBytes`; the whole without a header; undefined if it can't be satisfied, or is no single range of bytes. */
export function parseByteRange(header: string | null, sizeBytes: number): ByteRange | undefined {
  if (header === null) return { offset: 0, length: sizeBytes };
  const match = /^bytes=(\d{0,16})-(\d{0,16})$/.exec(header.trim());
  const [, first = "", last = ""] = match ?? [];
  if (match === null || (first === "" && last === "")) return undefined;
  if (first === "") {
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? undefined : { offset: sizeBytes - length, length };
  }
  const offset = Number(first);
  const end = last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  return offset >= sizeBytes || end <= offset ? undefined : { offset, length: end - offset };
}
