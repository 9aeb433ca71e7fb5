/** The whole suite of the chunk store on namespaces driven from user space: the mock's, with its own order of completions; left out without a C compiler. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { MockControllers, type MockZones, mockMissing } from "@couchestor/native-ffi/spdk/testing/mock-controllers.ts";
import type { ChunkStoreOptions, MediumSpec } from "../store/pool-chunk-store.ts";
import { conformChunkStore, plainOptions } from "../store/testing/conformance.ts";
import { chunkOf, clusterUuid, keyOf } from "../store/testing/fixture.ts";
import type { MediumUnderTest } from "../store/testing/medium-under-test.ts";
import { poolOpener } from "./open-pool.ts";
import { spdkMedia } from "./spdk-adapter.ts";

const missing = mockMissing();
const { checksum } = await selectCodec();
const fileSystem = nodeFileSystem();
const segmentBytes = 64 * 1024;

/** One folder of controllers for this process: a driver is started once. */
const folder = missing === undefined ? await mkdtemp(join(tmpdir(), "couchestor-spdk-pools-")) : "";
const mock = new MockControllers(folder);
afterAll(async () => {
  if (folder !== "") await rm(folder, { recursive: true, force: true });
});
const media = () =>
  spdkMedia({
    engine: "spdk-mock",
    driverOptions: `dir=${folder}`,
    lockFolder: join(folder, ".locks"),
    clock: systemClock,
    fileSystem,
  });

let made = 0;

function underTest(sizeBytes: number, zones?: MockZones): () => Promise<MediumUnderTest> {
  return async () => {
    const address = `mock-${made++}`;
    await mock.addNamespace(address, 1, sizeBytes, zones);
    const { medium, release } = await media()(`${address}/1`);
    const options = (): ChunkStoreOptions =>
      plainOptions({ checksum, clock: systemClock, prng: systemPrng, fileSystem, medium: medium as MediumSpec });
    return {
      options,
      async dispose() {
        await release();
        await rm(join(folder, address), { recursive: true, force: true });
      },
    };
  };
}

describe.skipIf(missing !== undefined)(`pools from user space${missing === undefined ? "" : ` (${missing})`}`, () => {
  conformChunkStore({ name: "an SPDK namespace", bigBlocks: 3, make: underTest(2 ** 20 + 40 * segmentBytes + 4096) });

  conformChunkStore({
    name: "an SPDK zoned namespace",
    bigBlocks: 3,
    make: underTest(42 * 32 * 4096, { zoneBlocks: 32, capacityBlocks: 16, openMax: 2, activeMax: 3 }),
  });

  test("a pool is opened by its path, its controller taken away and given back: Unavailable meanwhile, and all is there after", async () => {
    await mock.addNamespace("pulled-0", 1, 320 * 2 ** 20);
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const parts = { nodeName: "n1", fileSystem, clock: systemClock, prng: systemPrng, checksum, log };
    const open = poolOpener({ ...parts, openDevice: () => Promise.reject(new Error("none")), userSpace: media() });
    const spec = { poolName: "raw", path: "spdk:pulled-0/1", labels: {} };
    const store = await open(spec, true);
    await store.adopt(clusterUuid);
    const chunk = chunkOf(1, { blocks: 9 });
    await store.put(chunk.image);
    expect(store.info()).toMatchObject({ kind: "block", state: "Online" });
    await mock.setRemoved("pulled-0", true);
    await expect(store.put(chunkOf(2).image)).rejects.toThrow("the device was removed");
    expect(store.info()).toMatchObject({ state: "Failed" });
    await expect(store.get(keyOf(chunk.name), 0, 9)).rejects.toThrow("removed");
    await store.close();
    await expect(open(spec, false)).rejects.toThrow("ENODEV");
    await mock.setRemoved("pulled-0", false);
    const again = await open(spec, false);
    expect((await again.verify(keyOf(chunk.name))).state).toBe("ok");
    await again.close();
  });
});

test("without an engine for it, a pool past the kernel says which flag it needs", async () => {
  await withTempDir("no-engine", async () => {
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const parts = { nodeName: "n1", fileSystem, clock: systemClock, prng: systemPrng, checksum, log };
    const open = poolOpener({ ...parts, openDevice: () => Promise.reject(new Error("none")) });
    await expect(open({ poolName: "raw", path: "spdk:a/1", labels: {} }, true)).rejects.toThrow(
      "give --io-engine spdk",
    );
  });
});
