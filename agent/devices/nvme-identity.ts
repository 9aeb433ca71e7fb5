/**
 * What an NVMe controller and a namespace say of themselves by the Identify command (NVM Express Base 2.0, figures 275 and 277; NVM Command Set 1.0,
 * figure 97). Pure. sysfs has the names; this has what one decides formats and sizes by.
 */
import type { NvmeIdentity } from "@couchestor/common/api/local-devices.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";

const identifyBytes = 4096;
/** The unit of the transfer limit: pages of the controller's smallest size, 4 KiB on every controller there is. */
const pageBytesMin = 4096;
const performances = ["best", "better", "good", "degraded"] as const;

/** Reads both structures. Throws `Unavailable` for one that is short, all zeros or all 0xff: an answer of a controller that is not well. */
export function nvmeIdentity(controller: Uint8Array, namespace: Uint8Array): Omit<NvmeIdentity, "via"> {
  const [c, n] = [view(controller, "controller"), view(namespace, "namespace")];
  const version = c.getUint32(80, true);
  const shift = controller[77] ?? 0;
  const totalBytes = u128(c, 280);
  const formatCount = (namespace[25] ?? 0) + 1;
  const format = formatIndex(namespace[26] ?? 0);
  const formats = Array.from({ length: Math.min(64, formatCount) }, (_, index) => {
    const word = n.getUint32(128 + 4 * index, true);
    return {
      blockBytes: 2 ** ((word >>> 16) & 0xff),
      metadataBytes: word & 0xffff,
      performance: performances[(word >>> 24) & 3] ?? "degraded",
      inUse: index === format,
    };
  });
  const blockBytes = formats[format]?.blockBytes ?? 512;
  return {
    ...(version === 0 ? {} : { version: `${version >>> 16}.${(version >>> 8) & 0xff}` }),
    ...(shift === 0 ? {} : { transferBytesMax: 2 ** shift * pageBytesMin }),
    ...(totalBytes === undefined || totalBytes === 0 ? {} : { controllerBytes: totalBytes }),
    usedBytes: Number(n.getBigUint64(16, true)) * blockBytes,
    // A format of 2^0 bytes is an empty entry.
    formats: formats.filter((one) => one.blockBytes >= 512),
  };
}

/** Bits 0-3, and 5-6 above them where there are more than sixteen formats. */
function formatIndex(flbas: number): number {
  return (flbas & 0x0f) | ((flbas & 0x60) >> 1);
}

/** A 128-bit number as far as it is exact. */
function u128(data: DataView, at: number): number | undefined {
  const value = data.getBigUint64(at, true) + (data.getBigUint64(at + 8, true) << 64n);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

function view(bytes: Uint8Array, what: string): DataView {
  const fill = bytes[0];
  const isFilled = (fill === 0 || fill === 0xff) && bytes.every((byte) => byte === fill);
  if (bytes.byteLength >= identifyBytes && !isFilled)
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const got =
    bytes.byteLength < identifyBytes
      ? `${bytes.byteLength} bytes of ${identifyBytes}`
      : `nothing but 0x${(fill ?? 0).toString(16)}`;
  throw new AppError("Unavailable", `the identify page of the ${what} is ${got}`);
}
