import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { FileHandle } from "@couchestor/common/runtime/file-system.ts";
import type { SnapshotPlace } from "./medium.ts";
import { PoolMap } from "./pool-map.ts";
import { loadSnapshot, saveSnapshot } from "./snapshot.ts";
import { checksum, fieldsOf, nameOf } from "./testing/fixture.ts";

const poolUuid = "77777777-6666-4555-8444-333333333333";
const golden = `${import.meta.dir}/testdata/index-snapshot.hex`;

/** A place in memory; `onWrite` is told of each write. */
function memoryPlace(onWrite: () => void = () => {}): SnapshotPlace & { bytes: Uint8Array } {
  const place = {
    bytes: new Uint8Array(0),
    async open() {
      const { bytes } = place;
      const file: Pick<FileHandle, "read" | "size" | "close"> = {
        read: async (into, offset) => {
          const part = bytes.subarray(offset, offset + into.byteLength);
          into.set(part);
          return part.byteLength;
        },
        size: async () => bytes.byteLength,
        close: async () => {},
      };
      return file as FileHandle;
    },
    async replace(write: (file: FileHandle) => Promise<void>) {
      const parts: Uint8Array[] = [];
      const file: Pick<FileHandle, "write"> = {
        write: async (buffers) => {
          onWrite();
          parts.push(...buffers.map((buffer) => buffer.slice()));
        },
      };
      await write(file as FileHandle);
      place.bytes = Buffer.concat(parts);
    },
  };
  return place;
}

const chunk = (no: number) => ({
  name: nameOf(fieldsOf(1, { stripe: no, putEpoch: 2 ** 32 + (no % 3) })),
  blockCount: 2,
  tableCrc: no,
});

function mapOf(count: number): PoolMap {
  const map = new PoolMap();
  map.addSegment(3, 2 ** 26);
  map.addSegment(4, 8192);
  for (let no = 0; no < count; no++)
    map.applyChunk(chunk(no), { segmentId: 3, offset: 4096 * (1 + (no % 1000)) }, no % 2);
  return map;
}

const save = (map: PoolMap, place: SnapshotPlace): Promise<void> =>
  saveSnapshot({ place, map, poolUuid, clean: true, activeSegmentId: 4, checksum });

test("is byte for byte what it was in the first version", async () => {
  const place = memoryPlace();
  await save(mapOf(3), place);
  const hex = `${Buffer.from(place.bytes).toString("hex").replace(/.{64}/g, "$&\n").trimEnd()}\n`;
  if (process.env["UPDATE_GOLDEN"] === "1") await Bun.write(golden, hex);
  expect(hex).toBe(readFileSync(golden, "utf8"));
});

test("what was saved is loaded", async () => {
  const map = mapOf(10_000);
  map.accountDeletes(4, 4096, [{ deadSegment: 2 }]);
  const place = memoryPlace();
  await save(map, place);
  const loaded = await loadSnapshot(place, poolUuid, checksum);
  expect(loaded).toMatchObject({ clean: true, activeSegmentId: 4 });
  expect([...(loaded?.map.segments ?? [])]).toEqual([...map.segments]);
  expect(loaded?.map.index.count).toBe(10_000);
  for (let no = 0; no < 10_000; no += 17) {
    const row = loaded?.map.index.findName(chunk(no).name) ?? -1;
    expect(loaded?.map.index.placeAt(row)).toEqual(map.index.placeAt(map.index.findName(chunk(no).name)));
  }
  expect(await loadSnapshot(place, "00000000-6666-4555-8444-333333333333", checksum)).toBeUndefined();
});

test("changes while it is written never leave a wrong name in it", async () => {
  const map = mapOf(9000);
  let next = 9000;
  // Contexts are freed and made, rows are freed and used again, between any two pages.
  const place = memoryPlace(() => {
    for (let i = 0; i < 50; i++) {
      const gone = next - 9000;
      map.applyDelete(chunk(gone).name, { segmentId: 9, offset: 0 });
      map.applyChunk(
        { ...chunk(next), name: { ...chunk(next).name, encodeEpoch: next } },
        { segmentId: 4, offset: 8192 },
        0,
      );
      next++;
    }
  });
  await save(map, place);
  const loaded = await loadSnapshot(place, poolUuid, checksum);
  for (const row of loaded?.map.index.rows() ?? []) {
    const name = loaded?.map.index.nameAt(row);
    const at = loaded?.map.index.placeAt(row);
    const expected =
      at?.segmentId === 3 ? chunk(at.tableCrc).name : { ...chunk(at?.tableCrc ?? 0).name, encodeEpoch: at?.tableCrc };
    expect(name).toEqual(expected as typeof name);
  }
  expect(loaded?.map.index.count).toBeGreaterThan(8000);
});
