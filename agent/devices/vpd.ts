/**
 * Vital product data of SCSI devices (SPC-5 section 7.7), as the kernel keeps it in `device/vpd_pg80` and `vpd_pg83`. Pure. A page that is
 * short, or is another page, gives nothing.
 */
import { printable } from "./sys-reader.ts";

/** The pages' header: peripheral, page code, length (big-endian). Returns the body; undefined if the page is not `code` or shorter than it says. */
function body(page: Uint8Array, code: number): Uint8Array | undefined {
  if (page.byteLength < 4 || page[1] !== code) return undefined;
  const length = ((page[2] ?? 0) << 8) | (page[3] ?? 0);
  return page.byteLength < 4 + length ? undefined : page.subarray(4, 4 + length);
}

/** Page 0x80: the unit's serial number. */
export function serialOfPage80(page: Uint8Array): string | undefined {
  const serial = body(page, 0x80);
  return serial === undefined ? undefined : printable(serial);
}

/**
 * Page 0x83: the best name of the logical unit, in the kernel's writing: `naa.…`, `eui.…`, `t10.…`. NAA by IEEE registered extended (6) and
 * registered (5) first, then EUI-64, other NAA, and T10 vendor text.
 */
export function nameOfPage83(page: Uint8Array): string | undefined {
  const descriptors = body(page, 0x83);
  if (descriptors === undefined) return undefined;
  let best: { rank: number; name: string } | undefined;
  for (let at = 0; at + 4 <= descriptors.byteLength; ) {
    const length = descriptors[at + 3] ?? 0;
    const end = at + 4 + length;
    if (end > descriptors.byteLength) break;
    const found = designator(descriptors.subarray(at, end));
    if (found !== undefined && (best === undefined || found.rank > best.rank)) best = found;
    at = end;
  }
  return best?.name;
}

function designator(bytes: Uint8Array): { rank: number; name: string } | undefined {
  // Association: only names of the logical unit itself, not of the port or the target.
  if (((bytes[1] ?? 0) & 0x30) !== 0) return undefined;
  const value = bytes.subarray(4);
  const hex = Buffer.from(value).toString("hex");
  switch ((bytes[1] ?? 0) & 0x0f) {
    case 3: {
      const kind = (value[0] ?? 0) >> 4;
      if (value.byteLength !== (kind === 6 ? 16 : 8) || isEmpty(value)) return undefined;
      return { rank: kind === 6 ? 6 : kind === 5 ? 5 : 3, name: `naa.${hex}` };
    }
    case 2:
      return [8, 12, 16].includes(value.byteLength) && !isEmpty(value) ? { rank: 4, name: `eui.${hex}` } : undefined;
    case 1: {
      const text = printable(value);
      return text === undefined ? undefined : { rank: 1, name: `t10.${text}` };
    }
    default:
      return undefined;
  }
}

const isEmpty = (value: Uint8Array): boolean =>
  value.every((byte) => byte === 0) || value.every((byte) => byte === 0xff);

/** Page 0xb1: turns a minute; 0 for a medium that does not turn; undefined if it is not told. */
export function rotationOfPageB1(page: Uint8Array): number | undefined {
  const block = body(page, 0xb1);
  if (block === undefined || block.byteLength < 2) return undefined;
  const rate = ((block[0] ?? 0) << 8) | (block[1] ?? 0);
  if (rate === 1) return 0;
  return rate >= 0x401 && rate <= 0xfffe ? rate : undefined;
}
