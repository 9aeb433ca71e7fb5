/**
 * A pool on a zoned device: a segment is a zone. The first two zones hold the superblock, those behind them segments; conventional zones are not
 * used. The write pointers say where content ends; behind it a zone that was finished may show what a former tenant left, under another segment id.
 *
 * A zone that is left partly written counts against the device's limit of active zones, so it is finished when the next segment begins. Of what a
 * process wrote before it was killed the write pointer tells as well: the records up to it are read. Only if zones are few is it written on there.
 */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { segmentBytesMax } from "./chunk-index.ts";
import type { Medium } from "./medium.ts";
import { readAround } from "./read-around.ts";
import { recordAlignBytes } from "./record-format.ts";
import { segmentHeaderBytes } from "./segment-format.ts";
import { SegmentProbe } from "./segment-probe.ts";
import type { Superblock } from "./superblock.ts";
import type { Zone, ZonedDevice } from "./zoned-device.ts";
import { checkGeometry, firstDataZone, freshZonedSuperblock, superblockZones } from "./zoned-format.ts";
import { ZonedSuperblock } from "./zoned-superblock.ts";

const zonesProbedAtOnce = 16;
/** Of a zone. With more of them the device is failing as a whole, and the pool is not opened. */
const unreadableBlocksMax = 32;

export interface ZonedMediumOptions {
  device: ZonedDevice;
  checksum: Checksum;
  /** For messages. */
  path: string;
  /** Format the device even if it holds something. Everything on it is lost. */
  format?: boolean | undefined;
  fresh: () => Superblock;
}

/** Opens the pool on a zoned device, or makes one if all zones are empty or `format` says so. */
export async function openZonedMedium(options: ZonedMediumOptions): Promise<Medium> {
  const { device, checksum, path } = options;
  let zones = await device.report();
  const homes = () => new ZonedSuperblock(device, checksum, path, superblockZones(path, device, zones));
  let superblocks = homes();
  const found = options.format ? undefined : await superblocks.read();
  let superblock = found?.superblock;
  if (superblock) checkGeometry(path, device, zones, superblock);
  else {
    superblock = await freshZonedSuperblock(options, zones);
    zones = await device.report();
    superblocks = homes();
  }
  const medium = new ZonedMedium(options, superblock, superblocks);
  if (!found?.complete) await medium.writeSuperblock(superblock);
  // Whatever the process before wrote and did not sync.
  await device.sync();
  await medium.findZones(zones);
  return medium;
}

/** The superblock of the pool that is on a zoned device; undefined if there is none. Throws as `openZonedMedium` does. */
export async function readZonedSuperblock(
  options: Pick<ZonedMediumOptions, "device" | "checksum" | "path">,
): Promise<Superblock | undefined> {
  const { device, checksum, path } = options;
  const zones = superblockZones(path, device, await device.report());
  return (await new ZonedSuperblock(device, checksum, path, zones).read())?.superblock;
}

/** The zone of a segment, and how far it is written. */
interface SegmentZone {
  zone: number;
  writtenBytes: number;
}

class ZonedMedium implements Medium {
  readonly kind = "zoned";
  readonly segmentBytes: number;
  readonly recordBytesMax: number;
  superblock: Superblock;
  unknownPlaces = 0;
  readonly #options: ZonedMediumOptions;
  readonly #superblocks: ZonedSuperblock;
  readonly #segments = new Map<number, SegmentZone>();
  /** First in, first out, so that all zones wear alike. `dirty`: to be emptied first. */
  #free: { zone: number; dirty: boolean }[] = [];
  /** Zones of segments that are partly written. */
  readonly #active = new Set<number>();
  /** Of them those that were found when the device was opened with the write pointer where a record may begin. */
  readonly #resumable = new Set<number>();
  /** Zones that the device won't let be changed, and those that are lost. */
  readonly #fixed = new Set<number>();
  #offlineCount = 0;

  constructor(options: ZonedMediumOptions, superblock: Superblock, superblocks: ZonedSuperblock) {
    this.#options = options;
    this.#superblocks = superblocks;
    this.superblock = superblock;
    this.segmentBytes = superblock.segmentBytes;
    this.recordBytesMax = Math.min(superblock.segmentBytes, segmentBytesMax) - segmentHeaderBytes;
  }

  /** Reads which segment each zone holds. */
  async findZones(zones: readonly Zone[]): Promise<void> {
    const first = firstDataZone(zones);
    const { slotCount } = this.superblock;
    for (let from = 0; from < slotCount; from += zonesProbedAtOnce) {
      const count = Math.min(zonesProbedAtOnce, slotCount - from);
      const batch = Array.from({ length: count }, (_, i) => first + from + i);
      await Promise.all(batch.map((zone) => this.#probe(zone, zones[zone] as Zone)));
    }
    // One that is dirty may be active, and is emptied before another one becomes it.
    this.#free.sort((a, b) => Number(b.dirty) - Number(a.dirty) || a.zone - b.zone);
  }

  async #probe(zone: number, { state, writtenBytes }: Zone): Promise<void> {
    if (state === "empty") return void this.#free.push({ zone, dirty: false });
    if (state === "offline") return void this.#offlineCount++;
    const { device, checksum } = this.#options;
    // A write that was cut short may leave the write pointer within a record.
    const endBytes = Math.floor(Math.min(writtenBytes, this.segmentBytes) / recordAlignBytes) * recordAlignBytes;
    // No header was written whole, and what reads back behind the write pointer may be a former tenant's.
    if (endBytes < segmentHeaderBytes && state !== "read-only") return void this.#free.push({ zone, dirty: true });
    let left = unreadableBlocksMax;
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const bytes = new Uint8Array(length);
      const whole = async (into: Uint8Array, at: number) => {
        await device.read(zone, into, at);
        return into.byteLength;
      };
      left -= (await readAround(whole, bytes, offset, left)).unreadableBlocks;
      return bytes;
    };
    const probe = new SegmentProbe(this.superblock.poolUuid, checksum);
    const segmentId = await probe.segmentId({ read, endBytes }, await read(0, segmentHeaderBytes));
    if (state === "read-only") this.#fixed.add(zone);
    if (segmentId !== undefined) {
      this.#segments.set(segmentId, { zone, writtenBytes: endBytes });
      if (state === "active") this.#active.add(zone);
      if (state === "active" && endBytes === writtenBytes) this.#resumable.add(zone);
      // What can't be read may be somebody's chunk, and stays.
    } else if (left !== unreadableBlocksMax) this.unknownPlaces++;
    // A header that was torn when the machine stopped: nothing in it was ever answered.
    else if (state !== "read-only") this.#free.push({ zone, dirty: true });
  }

  #zoneOf(operation: string, segmentId: number): SegmentZone {
    const found = this.#segments.get(segmentId);
    if (!found) throw new FileSystemError("ENOENT", operation, `${this.#options.path} segment ${segmentId}`);
    return found;
  }

  async writeSuperblock(superblock: Superblock): Promise<void> {
    const next = { ...superblock, writeNo: this.superblock.writeNo + 1 };
    await this.#superblocks.write(next);
    this.superblock = next;
  }

  async segments(): Promise<number[]> {
    return [...this.#segments.keys()].sort((a, b) => a - b);
  }

  async create(segmentId: number, header: Uint8Array): Promise<void> {
    const { device, path } = this.#options;
    const free = this.#free.shift();
    // Found out before anything is finished: what is still active has room for deletions.
    if (!free) throw new FileSystemError("ENOSPC", "create", path);
    for (const zone of [...this.#active]) {
      await device.finish(zone);
      this.#active.delete(zone);
    }
    const { zone } = free;
    // Where a header fails to be written the zone is taken until the pool is opened anew, and found empty or dirty then.
    this.#segments.set(segmentId, { zone, writtenBytes: 0 });
    if (free.dirty) await device.reset(zone);
    this.#active.add(zone);
    await this.write(segmentId, [header], 0);
  }

  isFixed(segmentId: number): boolean {
    const place = this.#segments.get(segmentId);
    return place !== undefined && this.#fixed.has(place.zone);
  }

  /** A record is whole up to the write pointer, or it is none to go on behind. */
  mayGoOn(segmentId: number, endOffset: number): boolean {
    const { zone, writtenBytes } = this.#zoneOf("go on", segmentId);
    return this.#resumable.has(zone) && writtenBytes === endOffset;
  }

  async remove(segmentId: number): Promise<void> {
    const { zone } = this.#zoneOf("remove", segmentId);
    if (this.#fixed.has(zone)) throw new FileSystemError("EROFS", "reset", `${this.#options.path} zone ${zone}`);
    await this.#options.device.reset(zone);
    await this.#options.device.sync();
    this.#active.delete(zone);
    this.#segments.delete(segmentId);
    this.#free.push({ zone, dirty: false });
  }

  async read(segmentId: number, into: Uint8Array, offset: number): Promise<number> {
    const { zone, writtenBytes } = this.#zoneOf("read", segmentId);
    const count = Math.max(0, Math.min(into.byteLength, writtenBytes - offset));
    if (count > 0) await this.#options.device.read(zone, into.subarray(0, count), offset);
    return count;
  }

  async write(segmentId: number, buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const place = this.#zoneOf("write", segmentId);
    const end = buffers.reduce((sum, buffer) => sum + buffer.byteLength, offset);
    // What lies behind would not be read again.
    if (end > this.segmentBytes)
      throw new FileSystemError("EFBIG", `write up to ${end}`, `${this.#options.path} segment ${segmentId}`);
    await this.#options.device.write(place.zone, buffers, offset);
    place.writtenBytes = end;
  }

  sync(): Promise<void> {
    return this.#options.device.sync();
  }

  async truncate(segmentId: number): Promise<void> {
    throw new FileSystemError("EOPNOTSUPP", "truncate", `${this.#options.path} segment ${segmentId}`);
  }

  async sizeBytes(segmentId: number): Promise<number> {
    return this.#zoneOf("size", segmentId).writtenBytes;
  }

  async dropCache(): Promise<void> {}

  checkPresent(): Promise<void> {
    return this.#options.device.checkPresent();
  }

  async space(): Promise<{ totalBytes: number; freeBytes: number }> {
    const zones = this.superblock.slotCount - this.#offlineCount;
    return { totalBytes: zones * this.segmentBytes, freeBytes: this.#free.length * this.segmentBytes };
  }

  close(): Promise<void> {
    return this.#options.device.close();
  }
}
