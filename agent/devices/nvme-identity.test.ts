/** The Identify structures of a controller and a namespace (QEMU 7.2, captured), and pages that are no answers. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { nvmeIdentity } from "./nvme-identity.ts";

/** Rows of `offset hex`; what is left out is zeros. */
async function page(name: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(4096);
  for (const line of (await Bun.file(join(import.meta.dir, "testdata", name)).text()).split("\n")) {
    const [offset, hex] = line.split(" ");
    if (/^[0-9a-f]{4}$/.test(offset ?? "")) bytes.set(Buffer.from(hex ?? "", "hex"), Number.parseInt(offset ?? "", 16));
  }
  return bytes;
}

const controller = await page("qemu-identify-controller.hex");
const namespace = await page("qemu-identify-namespace.hex");

test("version, transfer limit, sizes and the formats with the one in use", () => {
  const { formats, ...rest } = nvmeIdentity(controller, namespace);
  expect(rest).toEqual({ version: "1.4", transferBytesMax: 512 * 1024, usedBytes: 2 ** 30 });
  expect(formats.map(({ blockBytes, metadataBytes }) => `${blockBytes}+${metadataBytes}`)).toEqual(
    [512, 4096].flatMap((block) => [0, 8, 16, 64].map((metadata) => `${block}+${metadata}`)),
  );
  expect(formats.filter(({ inUse }) => inUse)).toEqual([
    { blockBytes: 512, metadataBytes: 0, performance: "best", inUse: true },
  ]);
});

test("formats above the sixteenth, capacity and relative performance", () => {
  const many = namespace.slice();
  const view = new DataView(many.buffer);
  many[25] = 19;
  // Format 18: the low four bits are 2, bits 5 and 6 hold the 1 above them.
  many[26] = 0x22;
  for (let index = 0; index < 20; index++) view.setUint32(128 + 4 * index, (2 << 24) | (12 << 16), true);
  const big = controller.slice();
  new DataView(big.buffer).setBigUint64(280, 7_681_501_126_656n, true);
  const { formats, controllerBytes } = nvmeIdentity(big, many);
  expect(controllerBytes).toBe(7_681_501_126_656);
  expect(formats.findIndex(({ inUse }) => inUse)).toBe(18);
  expect(formats[18]).toEqual({ blockBytes: 4096, metadataBytes: 0, performance: "good", inUse: true });
});

test("a short page, all zeros, or all 0xff is no answer", () => {
  expect(() => nvmeIdentity(controller.subarray(0, 512), namespace)).toThrow("512 bytes of 4096");
  for (const fill of [0, 0xff]) {
    const filled = new Uint8Array(4096).fill(fill);
    expect(() => nvmeIdentity(filled, namespace)).toThrow(
      `the identify page of the controller is nothing but 0x${fill.toString(16)}`,
    );
    expect(() => nvmeIdentity(controller, filled)).toThrow("the identify page of the namespace");
  }
});
