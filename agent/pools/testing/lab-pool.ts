/** For tests in the hardware lab: a pool as the agent opens it on a device, and device-mapper targets whose behaviour changes while it is used. */
import { readdirSync, readFileSync } from "node:fs";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { command, until } from "@couchestor/common/testing/lab.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { flockExclusive } from "@couchestor/native-ffi/libc/libc.ts";
import type { ChunkStore } from "../../store/ports.ts";
import { clusterUuid } from "../../store/testing/fixture.ts";
import { PoolIdentities } from "../identities.ts";
import { poolOpener } from "../open-pool.ts";
import { PoolRegistry } from "../pool-registry.ts";

export interface LabPool extends AsyncDisposable {
  registry: PoolRegistry;
  /** The open pool; throws `Unavailable` while there is none. */
  store(): ChunkStore;
  /** State and reason as the agent reports them. */
  state(): { state: string; reason: string | undefined };
  /** Lets the agent try again, until the pool is Online. */
  recover(): Promise<ChunkStore>;
}

/** A pool on `path`, by the registry, opener and direct I/O that the agent itself uses. */
export async function labPool(path: string): Promise<LabPool> {
  const dir = await tempDir("lab-pool");
  const { checksum } = await selectCodec();
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const parts = { clock: systemClock, prng: systemPrng, log };
  const fileSystem = nodeFileSystem({ flock: flockExclusive });
  const open = poolOpener({ ...parts, nodeName: "n1", fileSystem, checksum, openDevice: openDirectFile });
  const identities = new PoolIdentities(dir.path);
  const registry = new PoolRegistry({
    ...parts,
    nodeName: "n1",
    specs: [{ poolName: "disk", path, labels: {} }],
    open,
    identities,
    retryMs: 100,
  });
  await registry.start();
  await registry.adopt(clusterUuid);
  const info = () => {
    const [first] = registry.infos();
    if (first === undefined) throw new Error("the registry lost its pool");
    return first;
  };
  if (info().state !== "Online") {
    await registry.close();
    throw new Error(`the pool did not open: ${info().reason}`);
  }
  const { poolUuid } = info();
  const store = () => registry.get(poolUuid);
  return {
    registry,
    store,
    state: () => ({ state: info().state, reason: info().reason }),
    recover: () =>
      until(
        async () => {
          await registry.maintain();
          return info().state === "Online" ? store() : undefined;
        },
        180_000,
        `the pool did not come back: ${info().reason}`,
      ),
    async [Symbol.asyncDispose]() {
      await registry.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Waits for the disk with this serial number and gives its device file. */
export function diskBySerial(serial: string): Promise<string> {
  return until(async () => diskNow(serial), 120_000, `no disk with serial number ${serial}`);
}

/** The device file of the disk with this serial number, if it is there now. */
export function diskNow(serial: string): string | undefined {
  const names = readdirSync("/sys/block").filter((name) => /^(sd[a-z]+|nvme\d+n\d+|vd[a-z]+)$/.test(name));
  const name = names.find((each) =>
    ["device/serial", "serial", "device/vpd_pg80"].some((file) => {
      try {
        return readFileSync(`/sys/block/${each}/${file}`, "latin1").includes(serial);
      } catch {
        // A disk has one of them, and may go while it is looked at.
        return false;
      }
    }),
  );
  return name === undefined ? undefined : `/dev/${name}`;
}

/** Sectors of 512 bytes. */
export function sectorsOf(device: string): number {
  return Number(readFileSync(`/sys/block/${device.replace("/dev/", "")}/size`, "utf8"));
}

/** A device-mapper device that passes everything through until its table is changed. */
export class MappedDevice implements Disposable {
  readonly path: string;
  readonly sectors: number;
  readonly linear: string;
  readonly #name: string;

  constructor(name: string, under: string) {
    this.#name = name;
    this.path = `/dev/mapper/${name}`;
    this.sectors = sectorsOf(under);
    this.linear = `0 ${this.sectors} linear ${under} 0`;
    command("dmsetup", "create", name, "--table", this.linear);
  }

  /** Changes what the device does, between two of its operations. */
  become(table: string): void {
    command("dmsetup", "load", this.#name, "--table", table);
    command("dmsetup", "suspend", "--nolockfs", "--noflush", this.#name);
    command("dmsetup", "resume", this.#name);
  }

  [Symbol.dispose](): void {
    command("dmsetup", "remove", "--force", "--retry", this.#name);
  }
}
