/**
 * How a pool finds its way back: the index snapshot, if it is whole and fits, and the records behind it; else all records.
 *
 * Only the last segment can hold bytes that were written and not synced: a segment is followed by another only when all of it is durable.
 * So the last one is synced first, and the page cache dropped, since after a failed sync it may show what the medium never got. What is found
 * by scanning is marked as recovered: a PUT of the same name is written again rather than taken for done.
 */

import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import type { ChunkIdentity } from "./chunk-identity.ts";
import { flagRecovered } from "./chunk-index.ts";
import type { Medium } from "./medium.ts";
import { type Place, PoolMap } from "./pool-map.ts";
import { type DamagedRange, type SegmentScan, scanSegment } from "./record-scanner.ts";
import { verifyRecords } from "./record-verify.ts";
import { segmentHeaderBytes } from "./segment-format.ts";
import { loadSnapshot } from "./snapshot.ts";

export interface Recovered {
  map: PoolMap;
  damage: DamagedRange[];
  from: "snapshot" | "scan";
  scannedSegments: number;
  /**
   * Where appending may go on: in the segment that was being written at the snapshot, if it ends exactly there; or, with few zones left of a zoned
   * device, in the last one.
   */
  appendAt: { segmentId: number; offset: number } | undefined;
  lastSegmentId: number;
}

const scansAtOnce = 4;

/**
 * With fewer free than this the last segment is gone on with. Otherwise each start begins another: what made the process before stop may have been
 * the place it was writing to. But starts that come to nothing must not use up what compaction needs to make room.
 */
const segmentsScarce = 4;

/** Segment ids that are left out where a newer segment may lie unread. */
const idsLeft = 4096;

/** Rebuilds index and accounts. Throws `IncompatibleVersion`, or `FileSystemError` if the medium cannot be read. */
export async function recover(medium: Medium, checksum: Checksum): Promise<Recovered> {
  const ids = await medium.segments();
  const lastSegmentId = ids.at(-1) ?? 0;
  if (ids.length > 0) {
    await medium.sync(lastSegmentId);
    await medium.dropCache(lastSegmentId);
  }
  const sizes = new Map<number, number>();
  for (const id of ids) sizes.set(id, await medium.sizeBytes(id));
  return (await fromSnapshot(medium, checksum, sizes)) ?? (await fromScan(medium, checksum, sizes));
}

async function fromSnapshot(
  medium: Medium,
  checksum: Checksum,
  sizes: Map<number, number>,
): Promise<Recovered | undefined> {
  const snapshot = medium.snapshots
    ? await loadSnapshot(medium.snapshots, medium.superblock.poolUuid, checksum)
    : undefined;
  if (!snapshot) return undefined;
  const { map } = snapshot;
  const covered = new Map([...map.segments].map(([id, account]) => [id, account.sizeBytes]));
  const last = Math.max(0, ...covered.keys());
  const damage: DamagedRange[] = [];
  for (const [id, size] of sizes) {
    const through = covered.get(id);
    // A segment that shrank, or an old one that the snapshot does not know: it does not fit these segments.
    if (through === undefined ? id <= last : size < through) return undefined;
  }
  for (const id of covered.keys()) {
    if (sizes.has(id)) continue;
    map.segments.delete(id);
  }
  const behind = [...sizes].filter(([id, size]) => size !== covered.get(id));
  await replay(
    medium,
    checksum,
    map,
    behind.map(([id, size]) => ({ id, size, from: covered.get(id) ?? 0 })),
    damage,
  );
  // Their segment was compacted away, and what was live was found again behind the snapshot; or the segment is lost.
  for (const row of [...map.index.rows()]) {
    const { segmentId, offset } = map.index.placeAt(row);
    if (map.segments.has(segmentId)) continue;
    if (snapshot.clean && behind.length === 0)
      damage.push({ segmentId, fromOffset: offset, toOffset: offset, what: "segment is missing" });
    map.dropRow(row);
  }
  const ids = [...sizes.keys()];
  const lastSegmentId = Math.max(last, ids.at(-1) ?? 0);
  const end = sizes.get(lastSegmentId);
  const goOn = behind.length === 0 && end !== undefined && snapshot.activeSegmentId === lastSegmentId;
  const appendAt = goOn ? { segmentId: lastSegmentId, offset: end } : undefined;
  return { map, damage, from: "snapshot", scannedSegments: behind.length, appendAt, lastSegmentId };
}

async function fromScan(medium: Medium, checksum: Checksum, sizes: Map<number, number>): Promise<Recovered> {
  const map = new PoolMap();
  const damage: DamagedRange[] = [];
  const lastScan = await replay(
    medium,
    checksum,
    map,
    [...sizes].map(([id, size]) => ({ id, size, from: 0 })),
    damage,
  );
  // A place that can't be read may hold a segment newer than all that are known, and no two may ever have one id.
  const leap = medium.unknownPlaces ? idsLeft : 0;
  const lastSegmentId = ([...sizes.keys()].at(-1) ?? 0) + leap;
  const appendAt = await goOnAt(medium, map, lastSegmentId, lastScan);
  return { map, damage, from: "scan", scannedSegments: sizes.size, appendAt, lastSegmentId };
}

/** The end of the last segment, if it is certain and segments are scarce. */
async function goOnAt(
  medium: Medium,
  map: PoolMap,
  segmentId: number,
  scan: SegmentScan | undefined,
): Promise<Place | undefined> {
  const account = map.segments.get(segmentId);
  if (!account || !scan || scan.endOffset < segmentHeaderBytes) return undefined;
  if (medium.mayGoOn?.(segmentId, scan.endOffset) !== true) return undefined;
  if ((await medium.space()).freeBytes >= segmentsScarce * medium.segmentBytes) return undefined;
  account.sizeBytes = scan.endOffset;
  return { segmentId, offset: scan.endOffset };
}

/** Scans several segments at a time and applies them in order. Returns what the last of them held. */
async function replay(
  medium: Medium,
  checksum: Checksum,
  map: PoolMap,
  parts: { id: number; size: number; from: number }[],
  damage: DamagedRange[],
): Promise<SegmentScan | undefined> {
  let last: SegmentScan | undefined;
  const scans: Promise<SegmentScan>[] = [];
  const start = (i: number): void => {
    const part = parts[i];
    if (!part) return;
    const scan = scanSegment({ medium, checksum, segmentId: part.id, fromOffset: part.from });
    scan.catch(() => {}); // awaited below, in its turn
    scans[i] = scan;
  };
  for (let i = 0; i < scansAtOnce; i++) start(i);
  for (const [i, part] of parts.entries()) {
    const scan = await scans[i];
    delete scans[i];
    start(i + scansAtOnce);
    if (!scan) throw new Error("scan was not started");
    const account = map.segments.get(part.id) ?? map.addSegment(part.id, part.size);
    account.sizeBytes = part.size;
    await applyScan(medium, checksum, map, part.id, scan);
    last = scan;
    const isLast = i === parts.length - 1;
    // The last segment's end may be torn, a slot's may be old content, and a finished zone's anything: none was ever acknowledged.
    for (const range of scan.damage)
      if (range.what !== "end" || !(isLast || medium.kind !== "directory")) damage.push(range);
  }
  return last;
}

async function applyScan(
  medium: Medium,
  checksum: Checksum,
  map: PoolMap,
  segmentId: number,
  scan: SegmentScan,
): Promise<void> {
  for (const record of scan.records) {
    if (record.kind === "chunk") {
      const place = { segmentId, offset: record.offset };
      if (hasOlderCopy(map, record.chunk) && !(await isWhole(medium, checksum, place, record.recordBytes))) continue;
      map.applyChunk(record.chunk, place, flagRecovered);
      continue;
    }
    map.accountDeletes(segmentId, record.recordBytes, record.entries);
    for (const entry of record.entries) map.applyDelete(entry.name, entry.bound);
  }
}

/**
 * Whether the chunk is at an earlier place too, that is still there: compaction was stopped before it removed the source, and the copy
 * may be torn. It counts only if it is whole.
 */
function hasOlderCopy(map: PoolMap, chunk: ChunkIdentity): boolean {
  const row = map.index.findName(chunk.name);
  return row >= 0 && map.segments.has(map.index.placeAt(row).segmentId);
}

async function isWhole(medium: Medium, checksum: Checksum, place: Place, recordBytes: number): Promise<boolean> {
  try {
    await verifyRecords({ medium, checksum }, place, [recordBytes]);
    return true;
  } catch (error) {
    if (isAppError(error, "ChunkCorrupt")) return false;
    throw error;
  }
}
