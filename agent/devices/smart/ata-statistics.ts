/** Device statistics of ATA (ACS-4, general purpose log 04h): numbers that mean the same with every maker. Little endian. Pure. */
import { defined, littleEndian, pageView, SmartPageError } from "./page-bytes.ts";

const pageBytes = 512;
export const statisticsLog = 0x04;
/** General, rotating media, general errors, temperature, solid state. */
export const statisticsPages = [1, 3, 4, 5, 7] as const;

export interface AtaStatistics {
  readonly powerCycles?: number;
  readonly powerOnHours?: number;
  readonly reallocatedSectors?: number;
  /** Sectors that are waiting to be reallocated. */
  readonly pendingSectors?: number;
  readonly uncorrectableErrors?: number;
  readonly temperatureCelsius?: number;
  readonly percentageUsed?: number;
}

/** Bit 63 of an entry: it is there; bit 62: its value is valid now. Both are needed. */
function entry(bytes: Uint8Array, at: number, valueBytes: number): number | undefined {
  const flags = bytes[at + 7] as number;
  return (flags & 0xc0) === 0xc0 ? littleEndian(bytes.subarray(at, at + valueBytes)) : undefined;
}

/** Which pages there are: page 0 of the log lists them. Throws `SmartPageError` for one that is short or all ones. */
export function parseStatisticsDirectory(bytes: Uint8Array): number[] {
  pageView(bytes, "ATA device statistics directory", pageBytes);
  const count = bytes[8] as number;
  return [...bytes.subarray(9, 9 + count)].filter((page) => page !== 0);
}

/** The figures of one page. Throws `SmartPageError` for one that is short, all ones or another page. */
export function parseStatisticsPage(bytes: Uint8Array, page: number): AtaStatistics {
  pageView(bytes, `ATA device statistics page ${page}`, pageBytes);
  if (bytes[2] !== page) {
    throw new SmartPageError(`ATA device statistics page ${page}: page ${bytes[2]} came instead`);
  }
  switch (page) {
    case 1:
      return defined({ powerCycles: entry(bytes, 8, 4), powerOnHours: entry(bytes, 16, 4) });
    case 3:
      return defined({ reallocatedSectors: entry(bytes, 32, 4), pendingSectors: entry(bytes, 56, 4) });
    case 4:
      return defined({ uncorrectableErrors: entry(bytes, 8, 4) });
    case 5: {
      const raw = entry(bytes, 8, 1);
      // One signed byte; −128 stands for "none".
      return raw === undefined || raw === 128 ? {} : { temperatureCelsius: raw > 127 ? raw - 256 : raw };
    }
    case 7:
      return defined({ percentageUsed: entry(bytes, 8, 1) });
    default:
      return {};
  }
}
