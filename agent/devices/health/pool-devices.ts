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
  readonly #disks = new Map<string, string>();
  /** Pools whose folder is being asked for: one on a disk that hangs holds up a thread, and is to hold up no more than one. */
  readonly #asking = new Set<string>();

  constructor(
    tree: Pick<SysTree, "list" | "read" | "resolve">,
    pools: readonly { poolName: string; path: string }[],
    numberOf: (path: string) => Promise<string | undefined> = deviceNumberOf,
  ) {
    this.#tree = tree;
    this.#pools = pools;
    this.#numberOf = numberOf;
  }

  /** Looks them up; of one that does not answer what was known stays. Resolves when all have answered that were not asked already. Never throws. */
  async look(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => this.#lookAt(pool)));
  }

  async #lookAt({ poolName, path }: { poolName: string; path: string }): Promise<void> {
    if (!path.startsWith("/") || this.#asking.has(poolName)) return;
    this.#asking.add(poolName);
    try {
      const number = await this.#numberOf(path);
      const disk = number === undefined ? undefined : await diskUnder(this.#tree, number);
      if (disk === undefined) this.#disks.delete(poolName);
      else this.#disks.set(poolName, disk);
    } finally {
      this.#asking.delete(poolName);
    }
  }

  /** The kernel's name of the pool's disk. */
  diskOf(poolName: string): string | undefined {
    return this.#disks.get(poolName);
  }
}
