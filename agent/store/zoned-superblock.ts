/**
 * The superblock of a zoned device, which can't be written over: each writing goes behind the one before, in each of the first two zones that are
 * written from front to back. A zone that is full is emptied first, while the other holds the newest; both are never without one.
 *
 *   S1 torn in a zone                        the copy before it is still there, and the other zone's
 *   S2 a full zone emptied, nothing in it    the other zone holds the newest
 *   S3 in one zone, not in the other         the greater number holds; the zone that is behind is written first the next time
 */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { isMediumError } from "./pool-health.ts";
import { encodeSuperblock, newestSuperblock, type Superblock, superblockBytes } from "./superblock.ts";
import type { Zone, ZonedDevice } from "./zoned-device.ts";

/** How far to look for an intact copy behind torn ones. */
const copiesBackMax = 256;

/** One of the two zones. */
interface Home {
  zone: number;
  capacityBytes: number;
  writtenBytes: number;
  usable: boolean;
  /** Of the newest copy in it; -1 if there is none. */
  writeNo: number;
}

export class ZonedSuperblock {
  readonly #device: ZonedDevice;
  readonly #checksum: Checksum;
  readonly #path: string;
  readonly #homes: Home[];

  constructor(device: ZonedDevice, checksum: Checksum, path: string, zones: readonly { zone: number; report: Zone }[]) {
    this.#device = device;
    this.#checksum = checksum;
    this.#path = path;
    this.#homes = zones.map(({ zone, report }) => ({
      zone,
      capacityBytes: report.capacityBytes,
      writtenBytes: report.writtenBytes,
      usable: report.state !== "read-only" && report.state !== "offline",
      writeNo: -1,
    }));
  }

  /** The newest copy, and whether both zones hold it. Undefined if there is none. Throws `IncompatibleVersion`, or `FileSystemError`. */
  async read(): Promise<{ superblock: Superblock; complete: boolean } | undefined> {
    const found = await Promise.all(this.#homes.map((home) => this.#latest(home)));
    const newest = found.reduce((best, one) => ((one?.writeNo ?? -1) > (best?.writeNo ?? -1) ? one : best), undefined);
    if (!newest) return undefined;
    const complete = found.every((one, i) => one?.writeNo === newest.writeNo || !this.#homes[i]?.usable);
    return { superblock: newest, complete };
  }

  async #latest(home: Home): Promise<Superblock | undefined> {
    // A zone that the device holds read-only has no write pointer any more: the copies are at its front.
    const searchedBytes = home.usable
      ? home.writtenBytes
      : Math.min(home.capacityBytes, copiesBackMax * superblockBytes);
    const last = (Math.floor(searchedBytes / superblockBytes) - 1) * superblockBytes;
    for (let back = 0; back < copiesBackMax && last - back * superblockBytes >= 0; back++) {
      const bytes = new Uint8Array(superblockBytes);
      try {
        await this.#device.read(home.zone, bytes, last - back * superblockBytes);
      } catch (error) {
        if (isMediumError(error)) continue;
        throw error;
      }
      const found = newestSuperblock([bytes], this.#checksum);
      if (!found) continue;
      home.writeNo = found.superblock.writeNo;
      return found.superblock;
    }
    return undefined;
  }

  /** Writes it to both zones, or to the one that can still be written. Durable on return. */
  async write(superblock: Superblock): Promise<void> {
    const bytes = encodeSuperblock(superblock, this.#checksum);
    // The one that is behind first: it may have to be emptied, and the other holds the newest.
    const homes = this.#homes.filter(({ usable }) => usable).sort((a, b) => a.writeNo - b.writeNo);
    if (homes.length === 0) throw this.#readOnly("both zones of the superblock can't be written any more");
    for (const home of homes) {
      const torn = home.writtenBytes % superblockBytes !== 0;
      if (torn || home.writtenBytes + superblockBytes > home.capacityBytes) {
        if (homes.length === 1) throw this.#readOnly("the last zone of the superblock that can be written has no room");
        await this.#device.reset(home.zone);
        await this.#device.sync();
        home.writtenBytes = 0;
      }
      await this.#device.write(home.zone, [bytes], home.writtenBytes);
      home.writtenBytes += superblockBytes;
      await this.#device.sync();
      home.writeNo = superblock.writeNo;
    }
  }

  #readOnly(why: string): FileSystemError {
    return new FileSystemError("EROFS", `write superblock (${why})`, this.#path);
  }
}
