import { expect, test } from "bun:test";
import { typescriptChecksum } from "./crc32c.ts";
import type { Checksum, ErasureCodec } from "./ports.ts";
import { checkCodecs, codecSelfTest } from "./selftest.ts";
import { typescriptCodec } from "./typescript-codec.ts";

test("the self-test passes for the codec of this machine and says which it is", async () => {
  const result = await codecSelfTest();
  expect(result.ok).toBe(true);
  expect(result.codec).toMatch(/^(isa-l( \d+(\.\d+)+)?|webassembly|typescript)$/);
  expect(result.lines.filter((line) => line.startsWith("ok")).length).toBeGreaterThan(10);
});

test("one wrong bit in parity, in a recovered shard or in a checksum fails the self-test", () => {
  const wrong = (codec: Partial<ErasureCodec>, checksum: Partial<Checksum>) =>
    checkCodecs({ ...typescriptCodec, ...codec, description: "wrong" }, { ...typescriptChecksum, ...checksum }).ok;
  const flip = (bytes: Uint8Array | undefined) => {
    if (bytes) bytes[0] = (bytes[0] as number) ^ 1;
  };
  const encode: ErasureCodec["encode"] = (code, data, parity) => {
    typescriptCodec.encode(code, data, parity);
    flip(parity[0]);
  };
  const reconstruct: ErasureCodec["reconstruct"] = (code, present, wanted, into) => {
    typescriptCodec.reconstruct(code, present, wanted, into);
    flip(into[0]);
  };
  expect(wrong({}, {})).toBe(true);
  expect(wrong({ encode }, {})).toBe(false);
  expect(wrong({ reconstruct }, {})).toBe(false);
  expect(wrong({}, { crc32c: (bytes) => typescriptChecksum.crc32c(bytes) ^ 1 })).toBe(false);
  expect(wrong({}, { crc32cBlocks: (_, out) => void out.fill(1) })).toBe(false);
});
