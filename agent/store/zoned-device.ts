/**
 * A zoned device as a port: zones that are written from front to back and emptied whole (NVMe ZNS, host-managed SCSI and ATA disks). Errors are
 * `FileSystemError`s: EIO for a write that is not at the write pointer, EOVERFLOW when too many zones are active, ENODEV when the device is gone.
 */

/**
 * `empty`: nothing is written. `active`: partly written, and counted against the device's limit. `full`: takes no more, until it is reset.
 * `read-only` and `offline` are zones the device has given up; they never come back. `conventional`: no zone in this sense.
 */
export type ZoneState = "empty" | "active" | "full" | "read-only" | "offline" | "conventional";

export interface Zone {
  state: ZoneState;
  /** How many bytes of the zone can be written: at most the device's `zoneBytes`. */
  capacityBytes: number;
  /** Where the next write goes, from the zone's beginning; the capacity of a zone that takes none. */
  writtenBytes: number;
}

export interface ZonedDevice {
  /** From the beginning of one zone to that of the next. */
  readonly zoneBytes: number;
  readonly zoneCount: number;
  /** How many zones may be partly written at a time; undefined if the device sets no limit, or tells none. */
  readonly activeZonesMax: number | undefined;
  /** All zones, in order. */
  report(): Promise<Zone[]>;
  /** Reads whole 4 KiB blocks of a zone, all of them or it throws. */
  read(zone: number, into: Uint8Array, offset: number): Promise<void>;
  /**
   * Writes whole 4 KiB blocks at `offset` of a zone, which must be its write pointer. One call at a time for each zone. After an error the write
   * pointer may be anywhere behind `offset`.
   */
  write(zone: number, buffers: readonly Uint8Array[], offset: number): Promise<void>;
  /** Empties a zone. */
  reset(zone: number): Promise<void>;
  /** Makes a zone full, so that it is not active any more; what is behind the write pointer reads as anything. */
  finish(zone: number): Promise<void>;
  /** Everything written, reset or finished so far is durable on return. */
  sync(): Promise<void>;
  /** Throws ENODEV if the device is gone. */
  checkPresent(): Promise<void>;
  close(): Promise<void>;
}
