/** SCSI and ATA administration as the agent sees it. Every call blocks until the device answers: off the event loop in a worker, except at start. */

/** A 28-bit or 48-bit ATA command that moves no data or reads some; fields as in ACS. */
export interface AtaCommand {
  readonly command: number;
  readonly features: number;
  readonly count: number;
  /** 48 bits; the SMART commands carry their signature in the middle ones. */
  readonly lba: number;
  /** Bytes to read, a multiple of 512; 0 moves no data. */
  readonly bytes: number;
  /** Whether it is one of the commands with 48-bit fields. */
  readonly extended?: boolean;
}

/** The registers as the command left them. */
export interface AtaRegisters {
  readonly error: number;
  readonly status: number;
  readonly count: number;
  readonly lba: number;
}

/** One open SCSI or SATA disk. A refused command throws `ScsiError`, anything else `FileSystemError` with the system's code. */
export interface ScsiDevice {
  readonly path: string;
  /** Standard INQUIRY data, or a page of vital product data by its number; cut to what the device sent. */
  inquiry(page?: number): Uint8Array;
  /** A log page with its header of 4 bytes, cumulative values; cut to the length that the page itself states. */
  logSense(page: number, subpage?: number): Uint8Array;
  /** The header of 8 bytes of the list of defects grown since manufacture (READ DEFECT DATA 12), which says how long the list is. */
  grownDefectHeader(): Uint8Array;
  /** ATA pass-through (SAT, 16 bytes). Returns what was read. */
  ataRead(command: AtaCommand): Uint8Array;
  /** ATA pass-through that asks for the registers afterwards: SMART RETURN STATUS answers there. Undefined: the bridge did not give them. */
  ataRegisters(command: AtaCommand): AtaRegisters | undefined;
  close(): void;
}
