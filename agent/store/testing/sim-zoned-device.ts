/**
 * A zoned device on the simulated file system, a file to each zone, whose length is the write pointer. It refuses what a real one refuses: a write
 * that is not at the write pointer, a write into a full zone, one zone too many that is partly written, anything on a zone that is offline. At a crash
 * the write pointer is somewhere between what was synced and what was written, and what lies in between may be torn.
 */
import { type FileHandle, type FileSystem, FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Zone, ZonedDevice } from "../zoned-device.ts";

export interface SimZones {
  zoneBytes: number;
  capacityBytes: number;
  zoneCount: number;
  conventional: number;
  activeZonesMax: number | undefined;
  /** Zones that the device has given up; to be changed by tests. */
  readOnly: Set<number>;
  offline: Set<number>;
}

/** Few and small zones, with less capacity than length, as real ones have. */
export function simZones(over: Partial<SimZones> = {}): SimZones {
  return {
    zoneBytes: 128 * 1024,
    capacityBytes: 64 * 1024,
    zoneCount: 26,
    conventional: 0,
    activeZonesMax: 3,
    readOnly: new Set(),
    offline: new Set(),
    ...over,
  };
}

const zonePath = (path: string, zone: number): string => `${path}/zone-${zone}`;

/** Makes the device's files. */
export async function makeSimZones(fileSystem: FileSystem, path: string, zones: SimZones): Promise<void> {
  await fileSystem.makeDirectory(path);
  for (let zone = 0; zone < zones.zoneCount; zone++) {
    const file = await fileSystem.open(zonePath(path, zone), "create-exclusive");
    if (zone < zones.conventional) await file.truncate(zones.zoneBytes);
    await file.sync();
    await file.close();
  }
  for (let folder = path; folder !== ""; folder = folder.slice(0, folder.lastIndexOf("/")))
    await fileSystem.syncDirectory(folder);
  await fileSystem.syncDirectory("/");
}

/** Opens it. Each call is one or more calls of the file system, where it may fail or the machine may stop. */
export async function openSimZones(fileSystem: FileSystem, path: string, zones: SimZones): Promise<ZonedDevice> {
  const files: FileHandle[] = [];
  const written: number[] = [];
  for (let zone = 0; zone < zones.zoneCount; zone++) {
    const file = await fileSystem.open(zonePath(path, zone), "read-write");
    files.push(file);
    written.push(await file.size());
  }
  return new SimZonedDevice(files, written, path, zones);
}

class SimZonedDevice implements ZonedDevice {
  readonly zoneBytes: number;
  readonly zoneCount: number;
  readonly activeZonesMax: number | undefined;
  readonly #files: readonly FileHandle[];
  readonly #written: number[];
  readonly #path: string;
  readonly #zones: SimZones;
  readonly #unsynced = new Set<number>();
  readonly #writing = new Set<number>();

  constructor(files: readonly FileHandle[], written: number[], path: string, zones: SimZones) {
    this.#files = files;
    this.#written = written;
    this.#path = path;
    this.#zones = zones;
    this.zoneBytes = zones.zoneBytes;
    this.zoneCount = zones.zoneCount;
    this.activeZonesMax = zones.activeZonesMax;
  }

  async report(): Promise<Zone[]> {
    const { capacityBytes, zoneBytes, conventional, readOnly, offline } = this.#zones;
    return this.#written.map((writtenBytes, zone) => {
      if (zone < conventional) return { state: "conventional", capacityBytes: zoneBytes, writtenBytes: zoneBytes };
      if (offline.has(zone)) return { state: "offline", capacityBytes, writtenBytes: capacityBytes };
      if (readOnly.has(zone)) return { state: "read-only", capacityBytes, writtenBytes: capacityBytes };
      const state = writtenBytes === 0 ? "empty" : writtenBytes < capacityBytes ? "active" : "full";
      return { state, capacityBytes, writtenBytes };
    });
  }

  #file(operation: string, zone: number): FileHandle {
    const file = this.#files[zone];
    if (!file || this.#zones.offline.has(zone)) throw this.#error("EIO", operation, zone);
    return file;
  }

  #changeable(operation: string, zone: number): FileHandle {
    const file = this.#file(operation, zone);
    if (this.#zones.readOnly.has(zone) || zone < this.#zones.conventional) throw this.#error("EIO", operation, zone);
    return file;
  }

  #error(code: string, operation: string, zone: number): FileSystemError {
    return new FileSystemError(code, operation, zonePath(this.#path, zone));
  }

  async read(zone: number, into: Uint8Array, offset: number): Promise<void> {
    if (offset % 4096 !== 0 || into.byteLength % 4096 !== 0) throw this.#error("EINVAL", "read", zone);
    // Behind the write pointer there may be anything: zeros, ones, what was there before.
    const got = await this.#file("read", zone).read(into, offset);
    into.fill(0xff, got);
  }

  async write(zone: number, buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const file = this.#changeable("write", zone);
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    if (offset % 4096 !== 0 || bytes % 4096 !== 0 || bytes === 0) throw this.#error("EINVAL", "write", zone);
    if (this.#writing.has(zone)) throw new Error(`two writes at a time to zone ${zone}`);
    if (offset !== this.#written[zone] || offset + bytes > this.#zones.capacityBytes)
      throw this.#error("EIO", `write at ${offset}, write pointer ${this.#written[zone]},`, zone);
    if (offset === 0 && this.#activeCount() >= (this.activeZonesMax ?? Number.POSITIVE_INFINITY))
      throw this.#error("EOVERFLOW", "write", zone);
    this.#writing.add(zone);
    this.#unsynced.add(zone);
    try {
      await file.write(buffers, offset);
      this.#written[zone] = offset + bytes;
    } catch (error) {
      this.#written[zone] = await file.size().catch(() => Number.NaN);
      throw error;
    } finally {
      this.#writing.delete(zone);
    }
  }

  #activeCount(): number {
    return this.#written.filter(
      (bytes, zone) => zone >= this.#zones.conventional && bytes > 0 && bytes < this.#zones.capacityBytes,
    ).length;
  }

  async reset(zone: number): Promise<void> {
    await this.#changeable("reset", zone).truncate(0);
    this.#written[zone] = 0;
    this.#unsynced.add(zone);
  }

  async finish(zone: number): Promise<void> {
    await this.#changeable("finish", zone).truncate(this.#zones.capacityBytes);
    this.#written[zone] = this.#zones.capacityBytes;
    this.#unsynced.add(zone);
  }

  async sync(): Promise<void> {
    const zones = [...this.#unsynced];
    this.#unsynced.clear();
    for (const zone of zones) await this.#file("sync", zone).sync();
  }

  async checkPresent(): Promise<void> {}

  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }
}
