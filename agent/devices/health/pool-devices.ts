/**
 * Which disk the data of a pool lies on: a folder's file system, through partitions and mappings, down to the one disk under all of it. Where there is more
 * than one (RAID, several LVM volumes' disks, btrfs) there is no answer: one failing disk of them does not make the pool a failing one.
 */
import { stat } from "node:fs/promises";
import type { SysTree } from "../ports.ts";

const depthMax = 16;

/** The kernel's name (`sda`) of the only disk under a block device given by its number (`8:1`); undefined if there is none, or more than one. */
export async function diskUnder(
  tree: Pick<SysTree, "list" | "read" | "resolve">,
  number: string,
): Promise<string | undefined> {
  let path = await tree.resolve(`/sys/dev/block/${number}`);
  for (let depth = 0; path !== undefined && depth < depthMax; depth++) {
    const parts = await tree.list(`${path}/slaves`).catch(() => []);
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (parts.length > 1) return undefined;
    if (parts[0] !== undefined) path = await tree.resolve(`/sys/class/block/${parts[0]}`);
    else if ((await tree.read(`${path}/partition`)).state === "read") path = path.slice(0, path.lastIndexOf("/"));
    else return name;
  }
  return undefined;
}

/** The number of the block device that a path is, or whose file system it lies in; undefined if there is nothing. */
export async function deviceNumberOf(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  const number = BigInt(found.isBlockDevice() ? found.rdev : found.dev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** The disks of an agent's pools, looked up again every now and then: a file system may be mounted later. */
export class PoolDevices {
  readonly #tree: Pick<SysTree, "list" | "read" | "resolve">;
  readonly #pools: readonly { poolName: string; path: string }[];
  readonly #numberOf: (path: string) => Promise<string | undefined>;
  #disks: ReadonlyMap<string, string> = new Map();

  constructor(
    tree: Pick<SysTree, "list" | "read" | "resolve">,
    pools: readonly { poolName: string; path: string }[],
    numberOf: (path: string) => Promise<string | undefined> = deviceNumberOf,
  ) {
    this.#tree = tree;
    this.#pools = pools;
    this.#numberOf = numberOf;
  }

  /** Looks them up. Never throws. */
  async look(): Promise<void> {
    const disks = new Map<string, string>();
    for (const { poolName, path } of this.#pools) {
      if (!path.startsWith("/")) continue;
      const number = await this.#numberOf(path);
      const disk = number === undefined ? undefined : await diskUnder(this.#tree, number);
      if (disk !== undefined) disks.set(poolName, disk);
    }
    this.#disks = disks;
  }

  /** The kernel's name of the pool's disk. */
  diskOf(poolName: string): string | undefined {
    return this.#disks.get(poolName);
  }
}
