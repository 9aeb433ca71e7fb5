/** For tests: the mock driver, built if there is a C compiler, and folders that are its controllers. */
import { existsSync } from "node:fs";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Driver, startDriver, stopDriver } from "../driver.ts";

const library = join(import.meta.dir, "../../../.deps/spdk/libcouchestor_spdk_mock.so.1");
const build = join(import.meta.dir, "../build");

/** Why there is no mock here, or undefined. Builds it at its first call. */
export function mockMissing(): string | undefined {
  if (Bun.which("cc") === null) return existsSync(library) ? undefined : "there is no C compiler (cc)";
  const made = Bun.spawnSync([build, "mock"]);
  return made.exitCode === 0 ? undefined : `the mock could not be built: ${made.stderr.toString()}`;
}

/** Of a zoned namespace, in blocks of 4 KiB. */
export interface MockZones {
  zoneBlocks: number;
  capacityBlocks: number;
  openMax: number;
  activeMax: number;
}

export class MockControllers {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  start(): Driver {
    return startDriver("spdk-mock", `dir=${this.dir}`);
  }

  /** Lets go of the driver, as the end of the process would. */
  stop(): void {
    stopDriver();
  }

  async addNamespace(address: string, nsid: number, sizeBytes: number, zones?: MockZones): Promise<void> {
    const folder = join(this.dir, address);
    await mkdir(folder, { recursive: true });
    const file = await open(join(folder, `ns${nsid}`), "wx");
    await file.truncate(sizeBytes);
    await file.close();
    if (zones === undefined) return;
    const count = Math.floor(sizeBytes / 4096 / zones.zoneBlocks);
    const table = Buffer.alloc(40 + count * 16);
    table.write("CSZONES1");
    [zones.zoneBlocks, zones.capacityBlocks, zones.openMax, zones.activeMax].forEach((value, i) => {
      table.writeBigUInt64LE(BigInt(value), 8 + 8 * i);
    });
    for (let zone = 0; zone < count; zone++) {
      table.writeBigUInt64LE(BigInt(zone * zones.zoneBlocks), 40 + zone * 16);
      table.writeBigUInt64LE(1n, 48 + zone * 16);
    }
    await writeFile(join(folder, `ns${nsid}.zones`), table);
  }

  /** Takes the controller away under its user, or gives it back. */
  async setRemoved(address: string, removed: boolean): Promise<void> {
    const path = join(this.dir, address, "removed");
    if (removed) await writeFile(path, "");
    else await rm(path, { force: true });
  }

  /** Whether the controller stops answering. */
  async setSlow(address: string, slow: boolean): Promise<void> {
    const path = join(this.dir, address, "slow");
    if (slow) await writeFile(path, "");
    else await rm(path, { force: true });
  }

  /** Blocks that can't be read (`bad`) or written (`worn`): pairs of first block and count. */
  async setBlocks(
    address: string,
    nsid: number,
    kind: "bad" | "worn",
    blocks: readonly [number, number][],
  ): Promise<void> {
    const text = blocks.map(([from, count]) => `${from} ${count}\n`).join("");
    await writeFile(join(this.dir, address, `ns${nsid}.${kind}`), text);
  }
}
