/** Every medium keeps what the suite asks, on simulated files and devices. */
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { conformChunkStore, plainOptions } from "./testing/conformance.ts";
import { openFileBlockDevice } from "./testing/file-block-device.ts";
import { checksum, stillClock } from "./testing/fixture.ts";
import type { MediumUnderTest } from "./testing/medium-under-test.ts";
import { makeSimZones, openSimZones, simZones } from "./testing/sim-zoned-device.ts";

const segmentBytes = 64 * 1024;
const simFs = (): SimFileSystem => new SimFileSystem({ prng: seededPrng(3) });
const common = { checksum, clock: stillClock };
const dispose = async (): Promise<void> => {};
const bigBlocks = 3;

conformChunkStore({
  name: "a directory",
  bigBlocks,
  async make(): Promise<MediumUnderTest> {
    const fileSystem = simFs();
    fileSystem.capacityBytes = 40 * segmentBytes;
    const path = "/srv/pools/a";
    return {
      options: () => plainOptions({ ...common, fileSystem, medium: { kind: "directory", path } }),
      flipBit: async (segmentId, offset, bit) =>
        fileSystem.flipBit(`${path}/segments/${segmentId.toString(16).padStart(12, "0")}.seg`, offset, bit),
      dispose,
    };
  },
});

conformChunkStore({
  name: "a block device",
  bigBlocks,
  async make(): Promise<MediumUnderTest> {
    const fileSystem = simFs();
    const path = "/dev/disk";
    await fileSystem.makeDirectory("/dev");
    const file = await fileSystem.open(path, "create-exclusive");
    await file.truncate(2 ** 20 + 40 * segmentBytes + 4096);
    const open = () => openFileBlockDevice(fileSystem, path);
    return {
      options: () => plainOptions({ ...common, fileSystem, medium: { kind: "block", path, open } }),
      // Slots are taken from the front.
      flipBit: async (segmentId, offset, bit) =>
        fileSystem.flipBit(path, 2 ** 20 + (segmentId - 1) * segmentBytes + offset, bit),
      dispose,
    };
  },
});

conformChunkStore({
  name: "a zoned device",
  bigBlocks,
  async make(): Promise<MediumUnderTest> {
    const fileSystem = simFs();
    const path = "/dev/zones";
    const zones = simZones({ zoneCount: 42 });
    await makeSimZones(fileSystem, path, zones);
    const open = () => openSimZones(fileSystem, path, zones);
    return {
      options: () => plainOptions({ ...common, fileSystem, medium: { kind: "zoned", path, open } }),
      flipBit: async (segmentId, offset, bit) => fileSystem.flipBit(`${path}/zone-${segmentId + 1}`, offset, bit),
      dispose,
    };
  },
});
