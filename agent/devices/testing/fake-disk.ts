/**
 * Disks in memory behind the port of device nodes. They keep what was synced and lose what was not, in any combination, when power goes; they can
 * be open once exclusively on a machine, but two machines that share a disk know nothing of each other; they can be pulled out.
 */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { DirectDevice } from "../../pools/open-pool.ts";
import type { DeviceNodes, LookedZone } from "../ports.ts";

const blockBytes = 4096;

/** The medium, which machines share. */
export class FakeDisk {
  readonly sizeBytes: number;
  readonly #durable = new Map<number, Uint8Array>();
  /** Written and not synced, in order. */
  #pending: [block: number, bytes: Uint8Array][] = [];
  writes = 0;
  /** Called before each write of a block and each sync: throw to cut the power there. */
  onWrite: (what: "write" | "sync") => void = () => undefined;
  /** Keeps nothing of what is written, though it says so. */
  forgetful = false;
  gone = false;
  /** Offsets of blocks that can't be read. */
  readonly unreadable = new Set<number>();
  /** Of a disk with zones. */
  zones: (() => readonly LookedZone[]) | undefined;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }

  put(offset: number, bytes: Uint8Array): void {
    const block = Math.floor(offset / blockBytes);
    const whole = this.#block(block).slice();
    whole.set(bytes, offset % blockBytes);
    this.#durable.set(block, whole);
  }

  read(into: Uint8Array, offset: number): number {
    const length = Math.max(0, Math.min(into.byteLength, this.sizeBytes - offset));
    for (let at = 0; at < length; ) {
      const from = (offset + at) % blockBytes;
      const count = Math.min(blockBytes - from, length - at);
      into.set(this.#block(Math.floor((offset + at) / blockBytes)).subarray(from, from + count), at);
      at += count;
    }
    return length;
  }

  write(buffers: readonly Uint8Array[], offset: number): void {
    const bytes = Buffer.concat(buffers);
    for (let at = 0; at < bytes.byteLength; at += blockBytes) {
      this.writes++;
      this.onWrite("write");
      if (!this.forgetful) this.#pending.push([(offset + at) / blockBytes, bytes.subarray(at, at + blockBytes)]);
    }
  }

  sync(): void {
    this.onWrite("sync");
    for (const [block, bytes] of this.#pending) this.#durable.set(block, bytes);
    this.#pending = [];
  }

  /** Power goes: of what was not synced, `keeps` says which blocks are there nevertheless: whole, in half, or not at all. */
  powerCut(keeps: (index: number) => "whole" | "half" | "none"): void {
    for (const [index, [block, bytes]] of this.#pending.entries()) {
      const kept = keeps(index);
      if (kept === "none") continue;
      const old = this.#durable.get(block) ?? new Uint8Array(blockBytes);
      const half = Buffer.concat([bytes.subarray(0, blockBytes / 2), old.subarray(blockBytes / 2)]);
      this.#durable.set(block, kept === "whole" ? bytes : half);
    }
    this.#pending = [];
    this.onWrite = () => undefined;
  }

  #block(block: number): Uint8Array {
    const pending = this.#pending.findLast(([other]) => other === block);
    return pending?.[1] ?? this.#durable.get(block) ?? new Uint8Array(blockBytes);
  }
}

/** One machine's nodes: path → disk and device number. */
export class FakeNodes implements DeviceNodes {
  readonly #disks = new Map<string, { disk: FakeDisk; number: string }>();
  /** Disks that somebody on this machine has open exclusively. */
  readonly busy = new Set<FakeDisk>();
  /** Error codes that opening a path gives. */
  readonly refusals = new Map<string, string>();

  set(path: string, disk: FakeDisk, number: string): void {
    this.#disks.set(path, { disk, number });
  }

  remove(path: string): void {
    this.#disks.delete(path);
  }

  async numberAt(path: string): Promise<string | undefined> {
    return this.#disks.get(path)?.number;
  }

  async openToLook(path: string) {
    const disk = this.#open(path);
    return {
      sizeBytes: disk.gone ? 0 : disk.sizeBytes,
      read: async (into: Uint8Array, offset: number) => {
        if (disk.gone || disk.read(into, offset) < into.byteLength) throw new FileSystemError("EIO", "read", path);
      },
      zones: async () => {
        if (disk.zones === undefined) throw new FileSystemError("ENOTTY", "report zones", path);
        return disk.zones();
      },
      close: async () => undefined,
    };
  }

  async isBusy(path: string): Promise<boolean> {
    return this.busy.has(this.#open(path));
  }

  async openExclusive(path: string): Promise<DirectDevice & { deviceNumber: string }> {
    const disk = this.#open(path);
    if (this.busy.has(disk)) throw new FileSystemError("EBUSY", "open", path);
    this.busy.add(disk);
    const alive = <T>(run: () => T): T => {
      // As a removed NVMe disk answers: writes without room, reads without bytes.
      if (disk.gone) throw new FileSystemError("ENOSPC", "write", path);
      return run();
    };
    const checkReadable = (offset: number, length: number): void => {
      for (const bad of disk.unreadable) {
        if (bad >= offset && bad < offset + length) throw new FileSystemError("EIO", "read", path);
      }
    };
    return {
      deviceNumber: this.#disks.get(path)?.number ?? "",
      sizeBytes: disk.sizeBytes,
      read: async (into, offset) => {
        checkReadable(offset, into.byteLength);
        return disk.gone ? 0 : disk.read(into, offset);
      },
      write: async (buffers, offset) => alive(() => disk.write(buffers, offset)),
      sync: async () => alive(() => disk.sync()),
      close: async () => void this.busy.delete(disk),
    };
  }

  #open(path: string): FakeDisk {
    const refusal = this.refusals.get(path);
    if (refusal !== undefined) throw new FileSystemError(refusal, "open", path);
    const found = this.#disks.get(path);
    if (found === undefined) throw new FileSystemError("ENOENT", "open", path);
    return found.disk;
  }
}
