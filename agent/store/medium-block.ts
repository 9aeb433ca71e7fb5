/**
 * A pool on a raw block device: one superblock in the first 4 KiB, its copy in the last, and from 1 MiB on slots of equal length, a segment
 * each. A slot is free if its first 4 KiB are zeros. There is no room for an index snapshot: every start scans.
 *
 * A slot whose header is damaged is not taken for free: its segment is known by the records in it, the greatest segment id among them, since
 * those of former tenants have smaller ones.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { segmentBytesMax } from "./chunk-index.ts";
import type { BlockDevice, Medium } from "./medium.ts";
import { isMediumError } from "./pool-health.ts";
import { readAround } from "./read-around.ts";
import { recordAlignBytes } from "./record-format.ts";
import { segmentHeaderBytes } from "./segment-format.ts";
import { SegmentProbe } from "./segment-probe.ts";
import { encodeSuperblock, newestSuperblock, type Superblock, superblockBytes } from "./superblock.ts";

const slotsOffsetBytes = 2 ** 20;
const slotsProbedAtOnce = 16;
/** Of a slot. With more of them the device is failing as a whole, and the pool is not opened. */
const unreadableBlocksMax = 32;

export interface BlockMediumOptions {
  device: BlockDevice;
  checksum: Checksum;
  /** For messages. */
  path: string;
  /** Format the device even if its first MiB is not zeros. Everything on it is lost. */
  format?: boolean | undefined;
  fresh: () => Superblock;
}

/** Opens the pool on a device, or makes one if its first MiB is zeros or `format` says so. */
export async function openBlockMedium(options: BlockMediumOptions): Promise<Medium> {
  const { device, checksum, path } = options;
  const ends = superblockOffsets(device);
  const bytes: Uint8Array[] = [];
  // Of the two copies one may be unreadable.
  for (const offset of ends) bytes.push((await readAtAround(device, offset, superblockBytes, 1)).bytes);
  const found = options.format ? undefined : newestSuperblock(bytes, checksum);
  const superblock = found?.superblock ?? (await freshSuperblock(options));
  const lastByte = superblock.slotsOffsetBytes + superblock.slotCount * superblock.segmentBytes;
  if (lastByte > device.sizeBytes)
    throw new AppError(
      "Unavailable",
      `pool ${path}: the device has ${device.sizeBytes} bytes, the pool needs ${lastByte}`,
    );
  const medium = new BlockMedium(options, superblock);
  const intact = bytes.map((copy) => newestSuperblock([copy], checksum)?.superblock.poolUuid === superblock.poolUuid);
  if (!found) await medium.writeSuperblock(superblock);
  else if (intact.includes(false)) await mendSuperblock(medium, superblock);
  // Whatever the process before wrote and did not sync.
  await device.sync();
  await medium.findSlots();
  return medium;
}

/** The last one first: while the first MiB is still zeros, a format that is cut short can simply be done again. */
function superblockOffsets(device: BlockDevice): [number, number] {
  return [Math.floor(device.sizeBytes / recordAlignBytes) * recordAlignBytes - superblockBytes, 0];
}

async function readAt(device: BlockDevice, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await device.read(bytes, offset);
  return bytes;
}

async function readAtAround(
  device: BlockDevice,
  offset: number,
  length: number,
  blocksMax: number,
): Promise<{ bytes: Uint8Array; unreadableBlocks: number }> {
  const bytes = new Uint8Array(length);
  const read = async (into: Uint8Array, at: number) => {
    await device.read(into, at);
    return into.byteLength;
  };
  const { unreadableBlocks } = await readAround(read, bytes, offset, blocksMax);
  return { bytes, unreadableBlocks };
}

/** Writes the copy that is damaged again. If its blocks can't be written, the pool is as good as it was with the other one. */
async function mendSuperblock(medium: BlockMedium, superblock: Superblock): Promise<void> {
  try {
    await medium.writeSuperblock(superblock);
  } catch (error) {
    if (!isMediumError(error)) throw error;
  }
}

async function freshSuperblock({ device, path, format, fresh }: BlockMediumOptions): Promise<Superblock> {
  const template = fresh();
  const slotCount = Math.floor((device.sizeBytes - slotsOffsetBytes - superblockBytes) / template.segmentBytes);
  if (slotCount < 4) {
    const needed = slotsOffsetBytes + superblockBytes + 4 * template.segmentBytes;
    throw new AppError(
      "InvalidArgument",
      `pool ${path}: got a device of ${device.sizeBytes} bytes, at least ${needed} are needed`,
    );
  }
  if (!format && !(await readAt(device, 0, slotsOffsetBytes)).every((byte) => byte === 0))
    throw new AppError(
      "FailedPrecondition",
      `pool ${path}: the device has no superblock of ours and its first MiB is not zeros. To make a pool of it, which destroys what is on it: couchestor device claim ID --pool NAME --wipe`,
      { data: { field: "path", got: path } },
    );
  return { ...template, kind: "block", slotsOffsetBytes, slotCount };
}

class BlockMedium implements Medium {
  readonly kind = "block";
  readonly segmentBytes: number;
  readonly recordBytesMax: number;
  superblock: Superblock;
  unknownPlaces = 0;
  readonly #options: BlockMediumOptions;
  /** Segment id → slot. */
  readonly #slotOf = new Map<number, number>();
  #freeSlots: number[] = [];

  constructor(options: BlockMediumOptions, superblock: Superblock) {
    this.#options = options;
    this.superblock = superblock;
    this.segmentBytes = superblock.segmentBytes;
    this.recordBytesMax = Math.min(superblock.segmentBytes, segmentBytesMax) - segmentHeaderBytes;
  }

  async findSlots(): Promise<void> {
    const { slotCount } = this.superblock;
    for (let first = 0; first < slotCount; first += slotsProbedAtOnce) {
      const slots = Array.from({ length: Math.min(slotsProbedAtOnce, slotCount - first) }, (_, i) => first + i);
      await Promise.all(slots.map((slot) => this.#probe(slot)));
    }
    this.#freeSlots.sort((a, b) => b - a);
  }

  async #probe(slot: number): Promise<void> {
    const { device, checksum } = this.#options;
    let left = unreadableBlocksMax;
    const read = async (offset: number, length: number) => {
      const { bytes, unreadableBlocks } = await readAtAround(device, this.#slotOffset(slot) + offset, length, left);
      left -= unreadableBlocks;
      return bytes;
    };
    const header = await read(0, segmentHeaderBytes);
    const empty = header.every((byte) => byte === 0);
    const place = { read, endBytes: this.segmentBytes };
    const probe = new SegmentProbe(this.superblock.poolUuid, checksum);
    const segmentId = empty ? undefined : await probe.segmentId(place, header);
    if (segmentId !== undefined) this.#slotOf.set(segmentId, slot);
    // What can't be read may be somebody's chunk: such a slot is neither used nor free while the pool is open.
    else if (left === unreadableBlocksMax) this.#freeSlots.push(slot);
    else this.unknownPlaces++;
  }

  #slotOffset(slot: number): number {
    return this.superblock.slotsOffsetBytes + slot * this.superblock.segmentBytes;
  }

  #offset(operation: string, segmentId: number): number {
    const slot = this.#slotOf.get(segmentId);
    if (slot === undefined)
      throw new FileSystemError("ENOENT", operation, `${this.#options.path} segment ${segmentId}`);
    return this.#slotOffset(slot);
  }

  async writeSuperblock(superblock: Superblock): Promise<void> {
    const { device, checksum } = this.#options;
    const next = { ...superblock, writeNo: this.superblock.writeNo + 1 };
    const bytes = encodeSuperblock(next, checksum);
    for (const offset of superblockOffsets(device)) {
      await device.write([bytes], offset);
      await device.sync();
    }
    this.superblock = next;
  }

  async segments(): Promise<number[]> {
    return [...this.#slotOf.keys()].sort((a, b) => a - b);
  }

  async create(segmentId: number, header: Uint8Array): Promise<void> {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) throw new FileSystemError("ENOSPC", "create", this.#options.path);
    this.#slotOf.set(segmentId, slot);
    await this.#options.device.write([header], this.#slotOffset(slot));
  }

  async remove(segmentId: number): Promise<void> {
    const offset = this.#offset("remove", segmentId);
    await this.#options.device.write([new Uint8Array(segmentHeaderBytes)], offset);
    await this.#options.device.sync();
    this.#freeSlots.push(this.#slotOf.get(segmentId) ?? 0);
    this.#slotOf.delete(segmentId);
  }

  async read(segmentId: number, into: Uint8Array, offset: number): Promise<number> {
    const count = Math.min(into.byteLength, this.segmentBytes - offset);
    await this.#options.device.read(into.subarray(0, count), this.#offset("read", segmentId) + offset);
    return count;
  }

  async write(segmentId: number, buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const end = buffers.reduce((sum, buffer) => sum + buffer.byteLength, offset);
    // Behind the slot lies another segment.
    if (end > this.segmentBytes)
      throw new FileSystemError("EFBIG", `write up to ${end}`, `${this.#options.path} segment ${segmentId}`);
    await this.#options.device.write(buffers, this.#offset("write", segmentId) + offset);
  }

  sync(): Promise<void> {
    return this.#options.device.sync();
  }

  async truncate(segmentId: number): Promise<void> {
    throw new FileSystemError("EOPNOTSUPP", "truncate", `${this.#options.path} segment ${segmentId}`);
  }

  async sizeBytes(segmentId: number): Promise<number> {
    this.#offset("size", segmentId);
    return this.segmentBytes;
  }

  async dropCache(): Promise<void> {}

  /** A device that cannot tell fails the write or the sync itself. */
  async checkPresent(): Promise<void> {
    await this.#options.device.checkPresent?.();
  }

  async space(): Promise<{ totalBytes: number; freeBytes: number }> {
    const { slotCount, segmentBytes } = this.superblock;
    return { totalBytes: slotCount * segmentBytes, freeBytes: this.#freeSlots.length * segmentBytes };
  }

  close(): Promise<void> {
    return this.#options.device.close();
  }
}
