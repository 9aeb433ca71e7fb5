/**
 * A file system in memory that is as unkind as a real one may be. What was not synced is, at a crash, kept, dropped, torn or reordered at
 * random; a name that no `syncDirectory` covered may be there or not, each by itself; a failed sync loses data although the next succeeds.
 * Every call is numbered, so that a test can crash at each. Driven by a seeded `Prng`: the same seed fails the same way.
 */
import { type FileHandle, type FileSystem, FileSystemError, type OpenMode } from "../runtime/file-system.ts";
import type { Prng } from "../runtime/prng.ts";
import type { SimCall, SimFault, SimOperation } from "./sim-fault.ts";
import { SimFile } from "./sim-file.ts";
import { SimHandle } from "./sim-handle.ts";

interface SimDirectory {
  live: Map<string, SimNode>;
  durable: Map<string, SimNode>;
}
type SimNode = SimFile | SimDirectory;

const isFile = (node: SimNode | undefined): node is SimFile => node instanceof SimFile;
const newDirectory = (): SimDirectory => ({ live: new Map(), durable: new Map() });

/** The calls that a read-only file system refuses. */
const changes: ReadonlySet<SimOperation> = new Set(["make-directory", "rename", "remove", "write", "truncate"]);

export interface SimFileSystemOptions {
  prng: Prng;
  /** The size of the simulated disk. */
  capacityBytes?: number;
  /** Asked before every call. */
  inject?: ((call: SimCall) => SimFault | undefined) | undefined;
}

export class SimFileSystem implements FileSystem {
  readonly #prng: Prng;
  #root = newDirectory();
  readonly #locks = new Set<string>();
  /** Raised by each crash: handles of an earlier life are dead. */
  #life = 0;
  #crashed = false;
  /** How many calls there have been. */
  calls = 0;
  capacityBytes: number;
  readOnly = false;
  inject: ((call: SimCall) => SimFault | undefined) | undefined;

  constructor(options: SimFileSystemOptions) {
    this.#prng = options.prng;
    this.capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER;
    this.inject = options.inject;
  }

  /** Whether a fault has stopped the machine. */
  get crashed(): boolean {
    return this.#crashed;
  }

  /** Power fails and comes back: only what the medium holds is left, locks are free, open handles are dead. */
  crash(): void {
    this.kill();
    this.#settle(this.#root);
  }

  /** The process dies and the machine does not: handles are dead and locks are free, and what was not synced is still in memory. */
  kill(): void {
    this.#life++;
    this.#crashed = false;
    this.#locks.clear();
  }

  /** Flips one bit of a file, where it lies. */
  flipBit(path: string, offset: number, bit: number): void {
    this.#file("flip", path).flipBit(offset, bit);
  }

  #settle(directory: SimDirectory): void {
    for (const name of new Set([...directory.live.keys(), ...directory.durable.keys()])) {
      const choices = [directory.live.get(name), directory.durable.get(name)];
      const kept = choices[0] === choices[1] ? choices[0] : choices[this.#prng.below(2)];
      if (kept) directory.durable.set(name, kept);
      else directory.durable.delete(name);
    }
    directory.live = new Map(directory.durable);
    for (const node of directory.live.values()) {
      if (isFile(node)) node.crash(this.#prng);
      else this.#settle(node);
    }
  }

  /** Numbers the call, yields once as a real one would, and applies a fault. Returns the fault that the call itself must play. */
  async call(operation: SimOperation, path: string, life: number, bytes = 0): Promise<SimFault | undefined> {
    await Promise.resolve();
    if (this.#crashed || life !== this.#life) throw new FileSystemError("ECRASHED", operation, path);
    const fault = this.inject?.({ index: this.calls++, operation, path, bytes });
    if (fault === "crash") this.#crashed = true;
    const played = fault === undefined || fault === "skip" || fault === "short" || fault === "crash";
    if (!played && operation !== "sync") throw new FileSystemError(fault, operation, path);
    if (fault === undefined && this.readOnly && changes.has(operation))
      throw new FileSystemError("EROFS", operation, path);
    return fault;
  }

  #parts(path: string): string[] {
    return path.split("/").filter((part) => part !== "" && part !== ".");
  }

  #node(path: string): SimNode | undefined {
    let node: SimNode | undefined = this.#root;
    for (const part of this.#parts(path)) node = node && !isFile(node) ? node.live.get(part) : undefined;
    return node;
  }

  #directory(operation: string, path: string): SimDirectory {
    const node = this.#node(path);
    if (!node) throw new FileSystemError("ENOENT", operation, path);
    if (isFile(node)) throw new FileSystemError("ENOTDIR", operation, path);
    return node;
  }

  #file(operation: string, path: string): SimFile {
    const node = this.#node(path);
    if (!node) throw new FileSystemError("ENOENT", operation, path);
    if (!isFile(node)) throw new FileSystemError("EISDIR", operation, path);
    return node;
  }

  #parent(operation: string, path: string): { directory: SimDirectory; name: string } {
    const parts = this.#parts(path);
    const name = parts.pop() ?? "";
    return { directory: this.#directory(operation, parts.join("/")), name };
  }

  /** Runs a call whose effect is one synchronous step; a crash leaves the step undone. */
  async #step<T>(operation: SimOperation, path: string, run: () => T): Promise<T> {
    const fault = await this.call(operation, path, this.#life);
    if (fault === "crash") throw new FileSystemError("ECRASHED", operation, path);
    return fault === "skip" ? (undefined as T) : run();
  }

  open(path: string, mode: OpenMode): Promise<FileHandle> {
    return this.#step("open", path, () => {
      if (mode === "create-exclusive") {
        if (this.readOnly) throw new FileSystemError("EROFS", "open", path);
        const { directory, name } = this.#parent("open", path);
        if (directory.live.has(name)) throw new FileSystemError("EEXIST", "open", path);
        directory.live.set(name, new SimFile());
      }
      return new SimHandle(this, this.#file("open", path), path, this.#life);
    });
  }

  list(directory: string): Promise<string[]> {
    return this.#step("list", directory, () => [...this.#directory("list", directory).live.keys()].sort());
  }

  makeDirectory(path: string): Promise<void> {
    return this.#step("make-directory", path, () => {
      let node = this.#root;
      for (const part of this.#parts(path)) {
        const next: SimNode = node.live.get(part) ?? newDirectory();
        if (isFile(next)) throw new FileSystemError("EEXIST", "make-directory", path);
        node.live.set(part, next);
        node = next;
      }
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#step("rename", from, () => {
      const source = this.#parent("rename", from);
      const target = this.#parent("rename", to);
      const node = source.directory.live.get(source.name);
      if (!node) throw new FileSystemError("ENOENT", "rename", from);
      source.directory.live.delete(source.name);
      target.directory.live.set(target.name, node);
    });
  }

  remove(path: string): Promise<void> {
    return this.#step("remove", path, () => {
      const { directory, name } = this.#parent("remove", path);
      if (!directory.live.delete(name)) throw new FileSystemError("ENOENT", "remove", path);
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#step("sync-directory", path, () => {
      const directory = this.#directory("sync-directory", path);
      directory.durable = new Map(directory.live);
    });
  }

  exists(path: string): Promise<boolean> {
    return this.#step("exists", path, () => this.#node(path) !== undefined);
  }

  space(path: string): Promise<{ totalBytes: number; freeBytes: number }> {
    return this.#step("space", path, () => {
      this.#directory("space", path);
      return { totalBytes: this.capacityBytes, freeBytes: Math.max(0, this.capacityBytes - this.usedBytes()) };
    });
  }

  lock(path: string): Promise<{ release(): Promise<void> }> {
    return this.#step("lock", path, () => {
      const { directory, name } = this.#parent("lock", path);
      if (!directory.live.has(name)) directory.live.set(name, new SimFile());
      if (this.#locks.has(path)) throw new FileSystemError("EWOULDBLOCK", "lock", path);
      this.#locks.add(path);
      const life = this.#life;
      return {
        release: async () => {
          if (life === this.#life) this.#locks.delete(path);
        },
      };
    });
  }

  /** The lengths of all files together. */
  usedBytes(directory: SimDirectory = this.#root): number {
    let used = 0;
    for (const node of directory.live.values()) used += isFile(node) ? node.sizeBytes : this.usedBytes(node);
    return used;
  }
}
