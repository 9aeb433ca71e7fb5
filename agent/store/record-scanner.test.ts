import { expect, test } from "bun:test";
import { encodeDelete } from "./delete-format.ts";
import type { Medium } from "./medium.ts";
import { stampHeader } from "./record-format.ts";
import { type SegmentScan, scanSegment } from "./record-scanner.ts";
import { encodeSegmentHeader } from "./segment-format.ts";
import { checksum, chunkOf } from "./testing/fixture.ts";

const poolUuid = "77777777-6666-4555-8444-333333333333";
const segmentId = 5;

/** A segment in memory: its header, a chunk of 1 block, a deletion, a chunk of 1 block; where each ends. */
function segmentBytes(): { bytes: Uint8Array; ends: number[] } {
  const parts = [encodeSegmentHeader({ poolUuid, segmentId, createdMs: 1, targetBytes: 65536 }, checksum)];
  const ends = [4096];
  const end = (): number => ends.at(-1) ?? 0;
  const addChunk = (no: number): void => {
    const image = chunkOf(no).image.slice();
    stampHeader(image.subarray(0, 4096), { poolUuid, segmentId, segmentOffset: end() }, checksum);
    parts.push(image);
    ends.push(end() + image.byteLength);
  };
  addChunk(1);
  const entry = {
    name: chunkOf(9).name,
    orderedBy: { epoch: 1, actNo: 1 },
    reason: "garbage" as const,
    deadSegment: 1,
  };
  parts.push(encodeDelete([entry], { poolUuid, segmentId, segmentOffset: end() }, checksum));
  ends.push(end() + 4096);
  addChunk(2);
  return { bytes: Buffer.concat(parts), ends };
}

/** The part of a medium that a scan uses. */
function mediumOf(bytes: Uint8Array): Medium {
  const medium: Pick<Medium, "superblock" | "sizeBytes" | "read"> = {
    superblock: { poolUuid } as Medium["superblock"],
    sizeBytes: async () => bytes.byteLength,
    read: async (_segment, into, offset) => {
      const part = bytes.subarray(offset, offset + into.byteLength);
      into.set(part);
      return part.byteLength;
    },
  };
  return medium as Medium;
}
const scan = (bytes: Uint8Array): Promise<SegmentScan> =>
  scanSegment({ medium: mediumOf(bytes), checksum, segmentId, fromOffset: 0 });

test("at every length to which a segment may be cut, exactly the whole records are found", async () => {
  const { bytes, ends } = segmentBytes();
  for (let length = 0; length <= bytes.byteLength; length++) {
    const { records, endOffset } = await scan(bytes.subarray(0, length));
    const whole = ends.filter((end) => end <= length).length;
    if (records.length !== Math.max(0, whole - 1)) throw new Error(`cut to ${length}: ${records.length} records`);
    expect(endOffset).toBe(whole === 0 ? 0 : (ends[whole - 1] ?? 0));
  }
}, 180_000);

test("a header damaged in any byte loses its own record only", async () => {
  const { bytes, ends } = segmentBytes();
  const start = ends[0] ?? 0;
  for (let at = 0; at < 4096; at++) {
    const bad = bytes.slice();
    bad[start + at] = (bad[start + at] ?? 0) ^ (1 << (at % 8));
    const { records, damage } = await scan(bad);
    expect(records.map((record) => record.offset)).toEqual([ends[1] ?? 0, ends[2] ?? 0]);
    expect(damage).toMatchObject([{ fromOffset: start, toOffset: ends[1] }]);
  }
}, 180_000);

test("valid records that are not at their own place are not taken: of another segment, another offset, another pool", async () => {
  const { bytes } = segmentBytes();
  for (const stamp of [
    { poolUuid, segmentId: 4, segmentOffset: 4096 },
    { poolUuid, segmentId, segmentOffset: 8192 },
    { poolUuid: "00000000-6666-4555-8444-333333333333", segmentId, segmentOffset: 4096 },
  ]) {
    const moved = bytes.slice();
    stampHeader(moved.subarray(4096, 8192), stamp, checksum);
    expect((await scan(moved)).records).toHaveLength(2);
  }
});
