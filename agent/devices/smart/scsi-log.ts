/** Log pages of SCSI (SPC): a header of 4 bytes, then parameters with a code, a control byte and a length. Big endian. Pure. */
import { bigEndian, pageView, SmartPageError } from "./page-bytes.ts";

const headerBytes = 4;

/** The parameters of a page, by code. Throws `SmartPageError` for a page that is short, all ones, another one, or cut off. */
export function parseLogPage(bytes: Uint8Array, page: number): Map<number, Uint8Array> {
  const what = `SCSI log page 0x${page.toString(16).padStart(2, "0")}`;
  const view = pageView(bytes, what, headerBytes);
  const came = view.getUint8(0) & 0x3f;
  if (came !== page) throw new SmartPageError(`${what}: page 0x${came.toString(16).padStart(2, "0")} came instead`);
  const end = headerBytes + view.getUint16(2);
  if (bytes.length < end) throw new SmartPageError(`${what}: ${bytes.length} bytes came, the page says ${end}`);
  const parameters = new Map<number, Uint8Array>();
  for (let at = headerBytes; at < end; ) {
    const next = at + 4 + (at + 3 < end ? view.getUint8(at + 3) : 0);
    if (at + 4 > end || next > end) {
      throw new SmartPageError(`${what}: the parameter at byte ${at} reaches beyond the page's ${end} bytes`);
    }
    parameters.set(view.getUint16(at), bytes.subarray(at + 4, next));
    at = next;
  }
  return parameters;
}

/** Pages that the device has: page 0 lists them. Throws as `parseLogPage`. */
export function parseSupportedPages(bytes: Uint8Array): Set<number> {
  const what = "SCSI list of log pages";
  const view = pageView(bytes, what, headerBytes);
  const came = view.getUint8(0) & 0x3f;
  if (came !== 0) throw new SmartPageError(`${what}: page 0x${came.toString(16)} came instead`);
  return new Set(bytes.subarray(headerBytes, headerBytes + view.getUint16(2)));
}

/** A counter of 1 to 16 bytes; undefined where the device has none, or one beyond 2^53 − 1. */
export function counterOf(parameter: Uint8Array | undefined): number | undefined {
  return parameter === undefined || parameter.length === 0 ? undefined : bigEndian(parameter);
}
