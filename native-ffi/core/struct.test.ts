import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { iocbLayout, ioEventLayout } from "../libaio/structs.ts";
import { defineStruct, fieldSizeBytes, StructArray, type StructLayout } from "./struct.ts";
import golden from "./testdata/structs.json" with { type: "json" };

const layouts: StructLayout<string>[] = [iocbLayout, ioEventLayout];

/** What the golden file holds for a layout: the size, and offset and size of each field. */
function describeLayout(layout: StructLayout<string>): { sizeBytes: number; fields: Record<string, number[]> } {
  const fields = Object.entries(layout.fields).map(([name, { offset, type }]) => [
    name,
    [offset, fieldSizeBytes(type)],
  ]);
  return { sizeBytes: layout.sizeBytes, fields: Object.fromEntries(fields) };
}

/** The same, as the C compiler sees <linux/aio_abi.h>; undefined without a compiler or the header. */
function compiledLayouts(): unknown {
  const folder = mkdtempSync(join(tmpdir(), "couchestor-struct-"));
  try {
    const print = layouts.map((layout) => {
      const fields = Object.keys(layout.fields).map(
        (field) =>
          `printf("\\"${field}\\":[%zu,%zu],", offsetof(struct ${layout.name}, ${field}), sizeof(((struct ${layout.name} *)0)->${field}));`,
      );
      return `printf("\\"${layout.name}\\":{\\"sizeBytes\\":%zu,\\"fields\\":{", sizeof(struct ${layout.name})); ${fields.join("")} printf("}},");`;
    });
    const source = `#include <stddef.h>\n#include <stdio.h>\n#include <linux/aio_abi.h>\nint main(void) { printf("{"); ${print.join("\n")} printf("}"); return 0; }\n`;
    writeFileSync(join(folder, "layout.c"), source);
    const compiled = spawnSync("cc", ["-o", join(folder, "layout"), join(folder, "layout.c")]);
    if (compiled.status !== 0) return undefined;
    const text = spawnSync(join(folder, "layout"), { encoding: "utf8" }).stdout;
    return JSON.parse(text.replaceAll(",}", "}"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("struct layouts", () => {
  test("are those of the golden file", () => {
    expect(Object.fromEntries(layouts.map((layout) => [layout.name, describeLayout(layout)])) as unknown).toEqual(
      golden,
    );
  });
  test("are those of offsetof in C", () => {
    const compiled = compiledLayouts();
    if (compiled === undefined)
      process.stderr.write("skipped: struct layouts against offsetof (no cc, or no kernel headers)\n");
    else expect(compiled).toEqual(golden);
  });
  test("pad between fields and at the end as C does", () => {
    const layout = defineStruct("padded", { a: "u8", b: "u64", c: "u16", d: "u8" });
    expect(describeLayout(layout)).toEqual({ sizeBytes: 24, fields: { a: [0, 1], b: [8, 8], c: [16, 2], d: [18, 1] } });
  });
  test("every type comes back as it was set, in its own struct only", () => {
    const layout = defineStruct("all", { a: "u8", b: "u16", c: "i16", d: "u32", e: "i32", f: "u64", g: "i64" });
    const array = new StructArray(layout, 3);
    const values = { a: 255, b: 65535, c: -2, d: 0xffffffff, e: -3, f: 2 ** 53 - 1, g: -4 } as const;
    for (const [field, value] of Object.entries(values)) array.set(1, field as keyof typeof values, value);
    for (const [field, value] of Object.entries(values)) {
      expect(array.get(1, field as keyof typeof values)).toBe(value);
      expect(array.get(0, field as keyof typeof values)).toBe(0);
      expect(array.get(2, field as keyof typeof values)).toBe(0);
    }
    expect(() => array.set(0, "f", 2 ** 53)).toThrow("no safe integer");
  });
});
