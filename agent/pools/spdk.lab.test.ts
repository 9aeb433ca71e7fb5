/**
 * The chunk store's suite on NVMe disks driven by SPDK itself, past the kernel. Left out, and so reported, where the shim was not built
 * (native-ffi/spdk/build spdk).
 * lab: timeoutSeconds=600 memoryMiB=3072
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { command } from "@couchestor/common/testing/lab.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { startDriver } from "@couchestor/native-ffi/spdk/driver.ts";
import { Namespace } from "@couchestor/native-ffi/spdk/namespace.ts";
import { zoneAction } from "@couchestor/native-ffi/spdk/structs.ts";
import { parseZoneReport } from "@couchestor/native-ffi/spdk/zones.ts";
import type { MediumSpec } from "../store/pool-chunk-store.ts";
import { conformChunkStore, plainOptions } from "../store/testing/conformance.ts";
import { dataOf } from "../store/testing/fixture.ts";
import type { MediumUnderTest } from "../store/testing/medium-under-test.ts";
import { spdkMedia } from "./spdk-adapter.ts";

const shim = join(import.meta.dir, "../../.deps/spdk/libcouchestor_spdk.so.1");
const isBuilt = existsSync(shim) && process.env["COUCHESTOR_LAB"] === "1";
const driverOptions = "memory-mb=256";
const { checksum } = await selectCodec();
const fileSystem = nodeFileSystem();
const clock = systemClock;

/** PCI address of the controller with this serial number. */
function addressOf(serial: string): string {
  const name = readdirSync("/sys/class/nvme").find(
    (each) => readFileSync(`/sys/class/nvme/${each}/serial`, "utf8").trim() === serial,
  );
  return realpathSync(`/sys/class/nvme/${name}/device`).split("/").at(-1) ?? "";
}

/** Takes a controller from the kernel's driver and gives it to the one for user space. */
function giveToUserSpace(address: string): void {
  const device = `/sys/bus/pci/devices/${address}`;
  writeFileSync(`${device}/driver/unbind`, address);
  writeFileSync(`${device}/driver_override`, "uio_pci_generic");
  writeFileSync("/sys/bus/pci/drivers_probe", address);
}

let plain = "";
let zoned = "";

beforeAll(() => {
  if (!isBuilt) return;
  command("modprobe", "uio_pci_generic");
  writeFileSync("/proc/sys/vm/nr_hugepages", "200");
  command("bash", "-c", "mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages");
  // SPDK does not start without OpenSSL's settings, which the guest has no package for.
  command("bash", "-c", "mkdir -p /usr/lib/ssl && touch /usr/lib/ssl/openssl.cnf");
  plain = addressOf("NVME0001");
  zoned = addressOf("ZNS00001");
  giveToUserSpace(plain);
  giveToUserSpace(zoned);
});

const media = () => spdkMedia({ engine: "spdk", driverOptions, lockFolder: "/tmp/namespaces", clock, fileSystem });

/** The medium is formatted by the first opening of each test. */
function underTest(path: () => string, capacityBytesMax: number): () => Promise<MediumUnderTest> {
  return async () => {
    const { medium, release } = await media()(path());
    let first = true;
    const limits = { segmentBytes: 2 ** 20, maintenanceEveryMs: 0, reserveBytes: 0, capacityBytesMax };
    return {
      options() {
        const spec = { ...medium, format: first } as MediumSpec;
        first = false;
        return plainOptions({ checksum, clock, prng: systemPrng, fileSystem, medium: spec, limits });
      },
      dispose: release,
    };
  };
}

describe.skipIf(!isBuilt)("SPDK (built with native-ffi/spdk/build spdk)", () => {
  test("controllers are found, and say what they are", () => {
    const driver = startDriver("spdk", driverOptions);
    expect(
      driver
        .probe()
        .map(({ address }) => address)
        .sort(),
    ).toEqual([plain, zoned].sort());
    const namespace = Namespace.open(driver, `${plain}/1`, { clock });
    expect(namespace.info).toMatchObject({ sizeBytes: 2 ** 30, blockBytes: 512, controller: { serial: "NVME0001" } });
    return namespace.close();
  });

  test("the health page is the one that the kernel's driver reads: 323 K", async () => {
    const namespace = Namespace.open(startDriver("spdk", driverOptions), `${plain}/2`, { clock });
    const page = await namespace.healthPage();
    expect((page[1] ?? 0) | ((page[2] ?? 0) << 8)).toBe(323);
    await namespace.close();
  });

  test("zones: appended to, written at their pointers alone, finished and reset", async () => {
    const namespace = Namespace.open(startDriver("spdk", driverOptions), `${zoned}/1`, { clock });
    const { zoneBytes = 0, activeMax, openMax, count } = namespace.info.zones ?? {};
    expect([zoneBytes, activeMax, openMax, count]).toEqual([16 * 2 ** 20, 12, 8, 32]);
    const at = 20 * zoneBytes;
    const zone = async () => parseZoneReport(await namespace.zoneReport(at))[0];
    await namespace.zoneSend(zoneAction.reset, at, "reset a zone");
    const bytes = dataOf(16, 3);
    expect(await namespace.zoneAppend(bytes, at)).toBe(at);
    expect(await namespace.zoneAppend(bytes, at)).toBe(at + bytes.byteLength);
    await expect(namespace.write([bytes], at, true)).rejects.toThrow("0x1bc");
    await namespace.write([bytes], at + 2 * bytes.byteLength, true);
    expect(await zone()).toMatchObject({ state: "open", capacityBlocks: 3072 });
    const back = new Uint8Array(bytes.byteLength);
    for (const n of [0, 1, 2]) {
      await namespace.read(back, at + n * bytes.byteLength);
      expect(Buffer.compare(back, bytes)).toBe(0);
    }
    await namespace.zoneSend(zoneAction.finish, at, "finish a zone");
    expect((await zone())?.state).toBe("full");
    await expect(namespace.zoneAppend(bytes, at)).rejects.toThrow("0x1b9");
    await namespace.zoneSend(zoneAction.reset, at, "reset a zone");
    expect((await zone())?.state).toBe("empty");
    await namespace.close();
  });

  conformChunkStore({
    name: "an NVMe namespace driven by SPDK",
    bigBlocks: 24,
    make: underTest(() => `${plain}/1`, 40 * 2 ** 20),
    timeoutMs: 3_600_000,
  });

  conformChunkStore({
    name: "a zoned namespace driven by SPDK",
    bigBlocks: 300,
    make: underTest(() => `${zoned}/1`, 400 * 2 ** 20),
    timeoutMs: 3_600_000,
  });
});
