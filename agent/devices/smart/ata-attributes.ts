/**
 * SMART attributes of ATA disks: the data (B0h/D0h) and threshold (B0h/D1h) sectors. Their layout was never part of a published standard beyond
 * SFF-8035i and ATA-3; makers and every tool keep to it. Little endian, 30 entries of 12 bytes from byte 2. Pure.
 */
import { littleEndian, pageView, SmartPageError } from "./page-bytes.ts";

const sectorBytes = 512;
const entriesMax = 30;
const entryBytes = 12;
const firstEntry = 2;
const checksumAt = 511;

export interface AtaAttribute {
  readonly id: number;
  /** 1 to 253, normalised by the maker: higher is better. 0, 254 and 255 mean nothing. */
  readonly value: number;
  readonly worst: number;
  /** At or below it the attribute has failed; 0: none. */
  readonly threshold: number;
  readonly flags: number;
  /** Whether its failing announces the disk's; else it only tells of age. */
  readonly isPrefailure: boolean;
  /** 48 bits whose meaning is the maker's. */
  readonly raw: number;
  /** `now`, `past` or never: whether the value is, or once was, at or below the threshold. */
  readonly failed?: "now" | "past";
}

/** Takes both sectors apart. Throws `SmartPageError` for one that is short, all ones, or whose checksum does not hold. */
export function parseAtaAttributes(data: Uint8Array, thresholds: Uint8Array): AtaAttribute[] {
  checkSector(data, "ATA SMART data");
  checkSector(thresholds, "ATA SMART thresholds");
  const limits = new Map<number, number>();
  for (const at of entryOffsets()) limits.set(thresholds[at] as number, thresholds[at + 1] as number);
  const attributes: AtaAttribute[] = [];
  for (const at of entryOffsets()) {
    const [id = 0, flagsLow = 0, flagsHigh = 0, value = 0, worst = 0] = data.subarray(at, at + 5);
    if (id === 0) continue;
    const threshold = limits.get(id) ?? 0;
    const failed = failure(value, worst, threshold);
    attributes.push({
      id,
      value,
      worst,
      threshold,
      flags: flagsLow + flagsHigh * 256,
      isPrefailure: (flagsLow & 1) === 1,
      raw: littleEndian(data.subarray(at + 5, at + 11)) as number,
      ...(failed === undefined ? {} : { failed }),
    });
  }
  return attributes;
}

function failure(value: number, worst: number, threshold: number): "now" | "past" | undefined {
  // A threshold of 0 never fails, 254 and 255 are reserved for tests; so are those values.
  if (threshold === 0 || threshold >= 254) return undefined;
  const isMeant = (v: number): boolean => v >= 1 && v <= 253;
  if (isMeant(value) && value <= threshold) return "now";
  return isMeant(worst) && worst <= threshold ? "past" : undefined;
}

function entryOffsets(): number[] {
  return Array.from({ length: entriesMax }, (_, i) => firstEntry + i * entryBytes);
}

/** All bytes of a sector add up to zero. */
function checkSector(bytes: Uint8Array, what: string): void {
  pageView(bytes, what, sectorBytes);
  const sum = bytes.subarray(0, sectorBytes).reduce((total, byte) => (total + byte) & 0xff, 0);
  if (sum !== 0) {
    throw new SmartPageError(
      `${what}: the checksum is ${bytes[checksumAt]}, the sector's bytes add up to ${sum} and not 0`,
    );
  }
}

const idReallocated = 5;
const idPowerOnHours = 9;
const idPowerCycles = 12;
const idReportedUncorrectable = 187;
const idUnsafeShutdowns = 192;
export const idsOfTemperature: readonly number[] = [194, 190];
const idPending = 197;
/** Attributes whose normalised value is the life that is left, of makers that use them so: Micron, Intel, Kingston, Samsung. */
const idsOfLifeLeft = [202, 231, 233, 177, 173];
const celsiusMax = 150;

/** The figures that mean the same with every maker; each absent where its attribute is. */
export function attributeFigures(attributes: readonly AtaAttribute[], isSolidState: boolean) {
  const by = new Map(attributes.map((attribute) => [attribute.id, attribute]));
  // The upper bits of these raw values hold other things with some makers: minutes, or extremes.
  const low = (id: number, bits: number) => {
    const attribute = by.get(id);
    return attribute && attribute.raw % 2 ** bits;
  };
  const celsius = idsOfTemperature.map((id) => low(id, 8)).find((value) => value !== undefined);
  const life = idsOfLifeLeft.map((id) => by.get(id)?.value).find((value) => value !== undefined);
  return {
    temperatureCelsius: celsius === undefined || celsius === 0 || celsius > celsiusMax ? undefined : celsius,
    reallocatedSectors: low(idReallocated, 16),
    pendingSectors: low(idPending, 32),
    mediaErrors: low(idReportedUncorrectable, 16),
    powerOnHours: low(idPowerOnHours, 24),
    powerCycles: low(idPowerCycles, 32),
    unsafeShutdowns: low(idUnsafeShutdowns, 32),
    wearRatio: isSolidState && life !== undefined && life >= 1 && life <= 100 ? (100 - life) / 100 : undefined,
  };
}
