import { expect, test } from "bun:test";
import { loadIsal } from "../isal/isal.ts";
import { selectCodec } from "./select.ts";
import { checkCodecs } from "./selftest.ts";

test("ISA-L is selected where it is", async () => {
  const { isal } = loadIsal();
  const { codec } = await selectCodec();
  expect(codec.description).toBe(isal ? isal.codec.description : "webassembly");
});

test("without ISA-L, WebAssembly takes its place with one line that says why, and gives the right bytes", async () => {
  const { codec, checksum, notes } = await selectCodec(() => ({
    isal: undefined,
    notes: ["libisal is not installed"],
  }));
  expect([codec.description, checksum.description]).toEqual(["webassembly", "typescript"]);
  expect(notes).toEqual(["fell back to webassembly, as ISA-L could not be used: libisal is not installed"]);
  expect(checkCodecs(codec, checksum).ok).toBe(true);
});

test("a loader that throws is a note, not an end", async () => {
  const { codec, notes } = await selectCodec(() => {
    throw new Error("this system has musl instead of glibc");
  });
  expect(codec.description).toBe("webassembly");
  expect(notes[0]).toContain("musl");
});
