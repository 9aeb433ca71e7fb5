/** Pages of vital product data from devices that say anything at all: an id or nothing, never an error, and never from a page that is cut short. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { identityOf } from "./identity.ts";
import { printable } from "./sys-reader.ts";
import { nameOfPage83, rotationOfPageB1, serialOfPage80 } from "./vpd.ts";

const page83 = Buffer.from("00830018020000085341533030303031010300085000c50000000002", "hex");

test("any bytes give a name of known form, or none", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, framed) => {
      const header = [0, 0x83, bytes.length >> 8, bytes.length & 255];
      const page = framed ? Uint8Array.from([...header, ...bytes]) : bytes;
      const name = nameOfPage83(page);
      serialOfPage80(page);
      rotationOfPageB1(page);
      return name === undefined || /^(naa\.[0-9a-f]+|eui\.[0-9a-f]+|t10\.[\x20-\x7e]+)$/.test(name);
    }),
  );
});

test("a page that is cut short, of another code, all 0xff or all zeros names nothing", () => {
  expect(nameOfPage83(page83)).toBe("naa.5000c50000000002");
  for (let length = 0; length < page83.length; length++)
    expect(nameOfPage83(page83.subarray(0, length))).toBeUndefined();
  for (const byte of [0, 0xff]) {
    expect(nameOfPage83(new Uint8Array(64).fill(byte))).toBeUndefined();
    expect(serialOfPage80(new Uint8Array(64).fill(byte))).toBeUndefined();
    const filled = Uint8Array.from([0, 0x83, 0, 12, 1, 3, 0, 8, ...new Uint8Array(8).fill(byte)]);
    expect(nameOfPage83(filled)).toBeUndefined();
  }
});

test("names of ports and targets are not the disk's, and a registered name goes before a local one", () => {
  const designator = (flags: number, hex: string) =>
    Buffer.from([1, flags, 0, hex.length / 2, ...Buffer.from(hex, "hex")]);
  const page = (...parts: Buffer[]) => {
    const body = Buffer.concat(parts);
    return Buffer.concat([Buffer.from([0, 0x83, 0, body.length]), body]);
  };
  expect(nameOfPage83(page(designator(0x13, "5000c500aaaaaaaa")))).toBeUndefined();
  expect(nameOfPage83(page(designator(3, "3333333000001388"), designator(3, "5000c500aaaaaaaa")))).toBe(
    "naa.5000c500aaaaaaaa",
  );
  expect(nameOfPage83(page(designator(3, "5000c500aaaaaaaa"), designator(3, `6${"0".repeat(30)}1`)))).toBe(
    `naa.6${"0".repeat(30)}1`,
  );
});

test("ids need no quoting in a shell or in --pool, and makers' fillers make none", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), fc.string({ maxLength: 40 }), (model, serial) => {
      const { id, stable } = identityOf({
        name: "sda",
        bus: "ata",
        model: printable(Buffer.from(model)),
        serial: printable(Buffer.from(serial)),
      });
      return stable ? /^ata-[\w.-]+$/.test(id) : id === "name-sda";
    }),
  );
  for (const serial of ["0000000000", "None", "N/A", "123456789ABC", "To be filled by O.E.M.", "0123456789ABCDEF"]) {
    expect(identityOf({ name: "sdb", bus: "usb", model: "Bridge", serial })).toEqual({ id: "name-sdb", stable: false });
  }
  expect(identityOf({ name: "nvme0n1", bus: "nvme", wwid: `eui.${"0".repeat(16)}` }).stable).toBe(false);
});
