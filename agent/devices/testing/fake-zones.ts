/** Zones over a disk in memory, as a host-managed disk has them: conventional ones in front if asked for, the others written from front to back. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Zone, ZonedDevice } from "../../store/zoned-device.ts";
import { FakeDisk } from "./fake-disk.ts";

export class FakeZones {
  readonly disk: FakeDisk;
  readonly zoneBytes: number;
  readonly zoneCount: number;
  readonly zones: Zone[];

  constructor({ zoneBytes = 2 ** 20, zoneCount = 12, conventional = 0 } = {}) {
    this.zoneBytes = zoneBytes;
    this.zoneCount = zoneCount;
    this.disk = new FakeDisk(zoneBytes * zoneCount);
    this.zones = Array.from({ length: zoneCount }, (_, zone) =>
      zone < conventional
        ? { state: "conventional", capacityBytes: zoneBytes, writtenBytes: zoneBytes }
        : { state: "empty", capacityBytes: zoneBytes, writtenBytes: 0 },
    );
    this.disk.zones = () => this.zones.map((zone, i) => ({ ...zone, startBytes: i * zoneBytes }));
  }

  /** Gives the zone up as a device does: read-only without a write pointer, or offline. */
  giveUp(zone: number, state: "read-only" | "offline"): void {
    this.zones[zone] = { state, capacityBytes: this.zoneBytes, writtenBytes: this.zoneBytes };
  }

  /** The device, open until `close`. */
  opened(close: () => Promise<void>): ZonedDevice {
    const { disk, zoneBytes, zoneCount } = this;
    const read = (zone: number, into: Uint8Array, offset: number): void => {
      this.#zone(zone, "read", ["offline"]);
      disk.read(into, zone * zoneBytes + offset);
    };
    return {
      zoneBytes,
      zoneCount,
      activeZonesMax: undefined,
      report: async () => this.zones.map((zone) => ({ ...zone })),
      read: async (zone, into, offset) => read(zone, into, offset),
      write: async (zone, buffers, offset) => {
        const found = this.#zone(zone, "write", ["offline", "read-only", "full", "conventional"]);
        const bytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
        if (offset !== found.writtenBytes || offset + bytes > zoneBytes) throw new FileSystemError("EIO", "write", "");
        disk.write(buffers, zone * zoneBytes + offset);
        found.writtenBytes += bytes;
        found.state = found.writtenBytes === zoneBytes ? "full" : "active";
      },
      reset: async (zone) => {
        const found = this.#zone(zone, "reset", ["offline", "read-only", "conventional"]);
        // What reads back from an empty zone may be anything.
        disk.write([new Uint8Array(zoneBytes).fill(0xff)], zone * zoneBytes);
        Object.assign(found, { state: "empty", writtenBytes: 0 });
      },
      finish: async (zone) => {
        const found = this.#zone(zone, "finish", ["offline", "read-only", "conventional"]);
        Object.assign(found, { state: "full", writtenBytes: zoneBytes });
      },
      sync: async () => disk.sync(),
      checkPresent: async () => undefined,
      close,
    };
  }

  #zone(zone: number, operation: string, refused: readonly Zone["state"][]): Zone {
    const found = this.zones[zone];
    if (found === undefined || refused.includes(found.state))
      throw new FileSystemError("EIO", operation, `zone ${zone}`);
    return found;
  }
}
