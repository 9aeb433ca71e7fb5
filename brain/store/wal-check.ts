/**
 * Finds out, before SQLite opens a database, whether its write-ahead log has lost acknowledged commits. SQLite ends the log at the first frame
 * whose checksum does not match, which is right for a write that a crash tore, but after damage on the medium it would silently take back every
 * commit behind it. The two differ: each commit is synced before the next begins, so only the last one can be torn. Frames of the same log that
 * follow a whole commit behind the broken frame are proof of damage.
 * Format: https://www.sqlite.org/fileformat2.html#walformat
 */
import { existsSync, readFileSync } from "node:fs";

const headerBytes = 32;
const frameHeaderBytes = 24;
const magicLittleEndian = 0x377f0682;
const magicBigEndian = 0x377f0683;

type Sums = readonly [number, number];

/** What is wrong with the log of the database at `path`; undefined if nothing is, or there is no log. */
export function walDamage(path: string): string | undefined {
  const wal = `${path}-wal`;
  return existsSync(wal) ? walDamageOf(readFileSync(wal)) : undefined;
}

/** The same for the bytes of a log. */
export function walDamageOf(log: Uint8Array): string | undefined {
  // The header is synced before the first frame is written, so a log without a whole header holds no commit.
  if (log.byteLength <= headerBytes || log.every((byte) => byte === 0)) return undefined;
  const view = new DataView(log.buffer, log.byteOffset, log.byteLength);
  const magic = view.getUint32(0);
  const littleEndian = magic === magicLittleEndian;
  const pageBytes = view.getUint32(8);
  const sums = checksum(view, 0, 24, littleEndian, [0, 0]);
  const known = littleEndian || magic === magicBigEndian;
  if (
    !known ||
    pageBytes < 512 ||
    pageBytes > 65_536 ||
    sums[0] !== view.getUint32(24) ||
    sums[1] !== view.getUint32(28)
  ) {
    return "the header of its write-ahead log is damaged";
  }
  const broken = firstBrokenFrame(view, pageBytes, littleEndian, sums);
  return broken !== undefined && commitsFollow(view, pageBytes, broken)
    ? `its write-ahead log is damaged at byte ${broken}: commits that follow would be lost`
    : undefined;
}

/** The offset of the first frame of this log whose checksum does not match; undefined if the log ends first. */
function firstBrokenFrame(view: DataView, pageBytes: number, littleEndian: boolean, header: Sums): number | undefined {
  let sums = header;
  const frameBytes = frameHeaderBytes + pageBytes;
  for (let at = headerBytes; at + frameBytes <= view.byteLength; at += frameBytes) {
    const ofHeader = checksum(view, at, 8, littleEndian, sums);
    sums = checksum(view, at + frameHeaderBytes, pageBytes, littleEndian, ofHeader);
    const matches = sums[0] === view.getUint32(at + 16) && sums[1] === view.getUint32(at + 20);
    if (!matches || !sameLog(view, at)) return at;
  }
  return undefined;
}

/** Whether a whole commit of this log, and something of another behind it, stand at `from` or later. */
function commitsFollow(view: DataView, pageBytes: number, from: number): boolean {
  let committed = false;
  for (let at = from; at + frameHeaderBytes <= view.byteLength; at += frameHeaderBytes + pageBytes) {
    if (!sameLog(view, at) && at !== from) continue;
    if (committed) return true;
    committed = view.getUint32(at + 4) !== 0;
  }
  return false;
}

/** Frames carry the salts of the header they were written under; what is left of an earlier round has others. */
function sameLog(view: DataView, at: number): boolean {
  return view.getUint32(at + 8) === view.getUint32(16) && view.getUint32(at + 12) === view.getUint32(20);
}

function checksum(view: DataView, at: number, length: number, littleEndian: boolean, from: Sums): Sums {
  let [s0, s1] = from;
  for (let i = at; i < at + length; i += 8) {
    s0 = (s0 + view.getUint32(i, littleEndian) + s1) >>> 0;
    s1 = (s1 + view.getUint32(i + 4, littleEndian) + s0) >>> 0;
  }
  return [s0, s1];
}
