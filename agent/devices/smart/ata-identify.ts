/** IDENTIFY DEVICE of ATA (ACS): 256 words, little endian, texts with the bytes of each word swapped. Pure. */
import { fieldText, pageView, SmartPageError } from "./page-bytes.ts";

const identifyBytes = 512;
const signature = 0xa5;

export interface AtaIdentity {
  readonly model: string | undefined;
  readonly serial: string | undefined;
  readonly firmware: string | undefined;
  readonly smartSupported: boolean;
  readonly smartEnabled: boolean;
  readonly isSolidState: boolean;
  /** Whether it has general purpose logs, of which device statistics are one. */
  readonly hasLogs: boolean;
}

/** Takes the words apart. Throws `SmartPageError` for what is short, all ones, or has a signature and a checksum that does not hold. */
export function parseAtaIdentity(bytes: Uint8Array): AtaIdentity {
  const view = pageView(bytes, "ATA identify", identifyBytes);
  const word = (index: number): number => view.getUint16(index * 2, true);
  if (bytes[510] === signature) {
    const sum = bytes.subarray(0, identifyBytes).reduce((total, byte) => (total + byte) & 0xff, 0);
    if (sum !== 0) throw new SmartPageError(`ATA identify: the checksum does not hold (the bytes add up to ${sum})`);
  }
  // Bits 15:14 of these words are 01 where the words mean anything.
  const valid = (index: number): number => ((word(index) & 0xc000) === 0x4000 ? word(index) : 0);
  return {
    model: swappedText(bytes.subarray(54, 94)),
    serial: swappedText(bytes.subarray(20, 40)),
    firmware: swappedText(bytes.subarray(46, 54)),
    smartSupported: (word(82) & 1) === 1,
    smartEnabled: (word(85) & 1) === 1,
    isSolidState: word(217) === 1,
    hasLogs: ((valid(84) | valid(87)) & 0x20) !== 0,
  };
}

function swappedText(bytes: Uint8Array): string | undefined {
  return fieldText(bytes.map((_, i) => bytes[i ^ 1] as number));
}
