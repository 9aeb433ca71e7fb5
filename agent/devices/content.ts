/** What lies on a device, judged by its first and its last MiB. Pure. Whatever is not zeros and not known is somebody's data all the same. */
import type { UseReason } from "@couchestor/common/api/devices.ts";
import { type Signature, signatures } from "./signatures.ts";

/** How much of the beginning and of the end is looked at: every format we know leaves its mark there. */
export const lookBytes = 2 ** 20;

export interface Ends {
  /** From offset 0. */
  head: Uint8Array;
  /** Up to the device's last byte. */
  tail: Uint8Array;
  sizeBytes: number;
  /**
   * Of a zoned device: what was written last to each of the zones that hold its label, and how many zones are written. Its head is zeros where it was
   * not written, and so is its tail.
   */
  zoned?: { labelLogs: readonly Uint8Array[]; writtenZones: number; zoneCount: number };
}

/** What was found, one reason each; empty for a device whose ends are all zeros. */
export function contentOf(ends: Ends): UseReason[] {
  const found = new Map<string, string>();
  for (const signature of signatures) {
    if (signature.at.some((at) => isAt(ends, at, signature.mark))) {
      if (!found.has(signature.text)) found.set(signature.text, signature.what);
    }
  }
  for (const [text, what] of [...raidOldFormats(ends), ...zfs(ends), ...masterBootRecord(ends)]) found.set(text, what);
  const reasons = [...found].map(([text, what]): UseReason => {
    const label = labelText(
      ends,
      signatures.find((signature) => signature.text === text),
    );
    return { kind: "content", what, detail: `it holds ${text}${label}` };
  });
  if (reasons.length > 0) return reasons.slice(0, 8);
  if (ends.zoned !== undefined && ends.zoned.writtenZones > 0) {
    const detail = `${ends.zoned.writtenZones} of its ${ends.zoned.zoneCount} zones are written`;
    return [{ kind: "content", what: "data", detail }];
  }
  const where = [!isZero(ends.head) ? "first" : "", !isZero(ends.tail) ? "last" : ""].filter((w) => w !== "");
  if (where.length === 0) return [];
  const detail = `its ${where.join(" and its ")} MiB holds data of no format known here`;
  return [{ kind: "content", what: "data", detail }];
}

/** Whether every byte is zero. Eight at a time, since a MiB is looked at for each device. */
export function isZero(bytes: Uint8Array): boolean {
  const lead = Math.min(bytes.byteLength, (8 - (bytes.byteOffset % 8)) % 8);
  const words = new BigUint64Array(bytes.buffer, bytes.byteOffset + lead, Math.floor((bytes.byteLength - lead) / 8));
  return (
    bytes.subarray(0, lead).every((byte) => byte === 0) &&
    words.every((word) => word === 0n) &&
    bytes.subarray(lead + words.byteLength).every((byte) => byte === 0)
  );
}

/** Whether `mark` is at offset `at`; a negative one counts from the end. */
function isAt({ head, tail }: Ends, at: number, mark: string): boolean {
  const [bytes, from] = at >= 0 ? [head, at] : [tail, tail.byteLength + at];
  if (from < 0 || from + mark.length > bytes.byteLength) return false;
  for (let i = 0; i < mark.length; i++) if (bytes[from + i] !== mark.charCodeAt(i)) return false;
  return true;
}

function labelText({ head }: Ends, signature: Signature | undefined): string {
  if (signature?.label === undefined) return "";
  const { at, length } = signature.label;
  const [label = ""] = new TextDecoder("latin1").decode(head.subarray(at, at + length)).split("\0");
  return /^[\x20-\x7e]+$/.test(label) ? ` labelled "${label.slice(0, 64)}"` : "";
}

/** Linux RAID 0.90 and 1.0 keep their superblocks near the end, at places that follow from the size (md(4)). */
function raidOldFormats(ends: Ends): [string, string][] {
  const { sizeBytes } = ends;
  const old = Math.floor(sizeBytes / 65_536) * 65_536 - 65_536;
  const sectors = Math.floor(sizeBytes / 512);
  const one = Math.floor((sectors - 16) / 8) * 8 * 512;
  const isMember = [old, one].some((at) => isAt(ends, at - sizeBytes, "\xfc\x4e\x2b\xa9"));
  return isMember ? [["a member of a Linux RAID (superblock at the end)", "raid"]] : [];
}

/** The uberblocks of a ZFS label: from 128 KiB of each 256 KiB label on, one a KiB or rarer, in either byte order. */
function zfs(ends: Ends): [string, string][] {
  const marks = ["\x0c\xb1\xba\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\xba\xb1\x0c"];
  for (const label of [0, 262_144]) {
    for (let at = label + 131_072; at < label + 262_144; at += 1024) {
      if (marks.some((mark) => isAt(ends, at, mark))) return [["a member of a ZFS pool", "zfs"]];
    }
  }
  return [];
}

/** 55 AA at the end of the first sector is a partition table only if an entry says something; boot sectors of file systems have it too. */
function masterBootRecord(ends: Ends): [string, string][] {
  const { head } = ends;
  if (!isAt(ends, 510, "\x55\xaa")) return [];
  const entries = [446, 462, 478, 494].map((at) => head.subarray(at, at + 16));
  const valid = entries.every(([status]) => status === 0 || status === 0x80);
  const used = entries.some((entry) => entry[4] !== 0 && !entry.subarray(8, 16).every((byte) => byte === 0));
  return valid && used ? [["an MBR partition table", "mbr"]] : [];
}
