/** The kernel's own counts of a block device: /sys/block/NAME/stat (Documentation/block/stat.rst). Pure. */

export interface IoStat {
  readonly reads: number;
  readonly readMs: number;
  readonly writes: number;
  readonly writeMs: number;
  /** Discards and flushes, which kernels before 4.18 and 5.5 do not count. */
  readonly others: number;
  /** Operations that the device has been given and has not finished. */
  readonly inFlight: number;
}

const fieldsMin = 11;

/** Undefined for what is not such a line: an empty file, or one cut off. */
export function parseIoStat(text: string | undefined): IoStat | undefined {
  const fields = (text ?? "").trim().split(/\s+/).map(Number);
  if (fields.length < fieldsMin || fields.some((field) => !Number.isSafeInteger(field) || field < 0)) return undefined;
  const [reads = 0, , , readMs = 0, writes = 0, , , writeMs = 0, inFlight = 0] = fields;
  const others = (fields[11] ?? 0) + (fields[15] ?? 0);
  return { reads, readMs, writes, writeMs, others, inFlight };
}

/**
 * What happened between two looks: reads and writes with their mean time, and all that was finished. Undefined when a counter went back, as it does
 * when the device was another one meanwhile.
 */
export function ioBetween(
  before: IoStat,
  after: IoStat,
): { operations: number; meanMs: number | undefined; finished: number } | undefined {
  const operations = after.reads + after.writes - before.reads - before.writes;
  const ms = after.readMs + after.writeMs - before.readMs - before.writeMs;
  if (after.reads < before.reads || after.writes < before.writes || ms < 0) return undefined;
  const finished = operations + Math.max(0, after.others - before.others);
  return { operations, meanMs: operations === 0 ? undefined : ms / operations, finished };
}
