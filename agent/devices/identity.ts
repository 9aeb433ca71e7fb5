/**
 * The id of a device: what it says of itself, in the manner of udev's by-id names but made here, so that it is the same with and without udev.
 * Pure. Names like `sda` are given in the order of probing and never make an id, unless there is nothing else.
 */

export interface IdentityFacts {
  /** `nvme0n1` */
  name: string;
  bus: "nvme" | "ata" | "scsi" | "usb" | "virtio" | "mmc" | "dm" | "other";
  /** As the kernel writes it: `naa.…`, `eui.…`, `uuid.…`, `t10.…`, `nvme.…`. */
  wwid?: string | undefined;
  vendor?: string | undefined;
  model?: string | undefined;
  serial?: string | undefined;
  namespaceId?: number | undefined;
  /** Of a device-mapper device. */
  dm?: { uuid?: string | undefined; name?: string | undefined } | undefined;
}

/** Serials that makers leave in when they give none, or that bridges make up. */
const meaningless =
  /^(0+|1+|f+|x+|none|null|n\/?a|unknown|default|not specified|to be filled.*|serial|123456789\w{0,4}|0?123456789abcdef)$/i;

/** A serial that names one device; undefined for what makers leave in. */
export function meaningfulSerial(serial: string | undefined): string | undefined {
  return serial === undefined || meaningless.test(serial.trim()) ? undefined : serial.trim();
}

/** The id, and whether it will be the same after a restart or in another slot. */
export function identityOf(facts: IdentityFacts): { id: string; stable: boolean } {
  const id = fromWwid(facts) ?? fromSerial(facts) ?? fromDm(facts);
  return id === undefined ? { id: `name-${facts.name}`, stable: false } : { id: id.slice(0, 256), stable: true };
}

/** `naa.5000…` as `wwn-0x5000…`; names of NVMe namespaces by EUI-64, NGUID or UUID as they are. */
function fromWwid({ bus, wwid }: IdentityFacts): string | undefined {
  const match = /^(naa|eui|uuid)\.([0-9a-f-]{8,})$/i.exec(wwid ?? "");
  const [, kind = "", value = ""] = match ?? [];
  if (match === null || /^[0-]+$/.test(value) || /^[f-]+$/i.test(value)) return undefined;
  const text = value.toLowerCase();
  if (bus === "nvme") return `nvme-${kind.toLowerCase()}.${text}`;
  return kind.toLowerCase() === "uuid" ? `uuid-${text}` : `wwn-0x${text}`;
}

/** Maker's model and serial; an NVMe namespace has its number as well, since several share them. */
function fromSerial({ bus, vendor, model, serial, namespaceId }: IdentityFacts): string | undefined {
  const good = meaningfulSerial(serial);
  if (good === undefined || bus === "dm") return undefined;
  const maker = bus === "scsi" || bus === "usb" ? [vendor] : [];
  const number = bus === "nvme" ? [`ns${namespaceId ?? 1}`] : [];
  const parts = [...maker, model, good, ...number].filter((part) => part !== undefined && part !== "");
  return `${bus === "other" ? "disk" : bus}-${parts.map((part) => plain(part ?? "")).join("_")}`;
}

/** A device-mapper device is named by who made it: LVM, LUKS, multipath give it a UUID. */
function fromDm({ bus, dm }: IdentityFacts): string | undefined {
  if (bus !== "dm") return undefined;
  const given = dm?.uuid ?? dm?.name;
  return given === undefined ? undefined : `dm-${plain(given)}`;
}

/** Letters, digits, `.`, `-` and `_` stay, so that an id needs no quotes in a shell and no escape in a `--pool` flag. */
function plain(text: string): string {
  return text.trim().replace(/[^\w.-]+/g, "_");
}
