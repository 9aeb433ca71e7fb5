import { expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { definitionOf } from "./definition.ts";
import { definitions } from "./definitions.ts";
import { crdManifests } from "./manifest.ts";
import { structuralSchema } from "./structural.ts";

const folder = join(import.meta.dir, "../../deploy/crds");

test("deploy/crds is what the schemas say; if not: bun common/crd/generate.ts", async () => {
  const files = crdManifests();
  expect((await readdir(folder)).filter((name) => name.endsWith(".yaml")).sort()).toEqual(
    files.map((f) => f.name).sort(),
  );
  for (const { name, text } of files) expect([name, await readFile(join(folder, name), "utf8")]).toEqual([name, text]);
});

test("the YAML of every definition reads back as the definition", () => {
  definitions.forEach((definition, i) => {
    expect(Bun.YAML.parse(crdManifests()[i]?.text ?? "")).toEqual(definitionOf(definition));
  });
});

test("every field of every kind has a text for kubectl explain, and no two kinds share a name", () => {
  const names = definitions.flatMap(({ kind }) => [kind.plural, kind.kind.toLowerCase(), ...kind.shortNames]);
  expect(new Set(names).size).toBe(names.length);
  for (const definition of definitions) {
    const walk = (schema: ReturnType<typeof structuralSchema>, path: string): void => {
      for (const [name, child] of Object.entries(schema.properties ?? {})) {
        expect([`${path}.${name}`, (child.description ?? "").length > 3]).toEqual([`${path}.${name}`, true]);
        walk(child, `${path}.${name}`);
      }
      if (schema.items !== undefined) walk(schema.items, `${path}[]`);
    };
    const version = definitionOf(definition).spec.versions[0];
    expect(version?.schema.openAPIV3Schema.properties?.["spec"]).toBeDefined();
    if (version !== undefined) walk(version.schema.openAPIV3Schema, definition.kind.kind);
  }
});

test("the user's names, short names and columns are as documented", () => {
  const shown = definitions.map((definition) => {
    const { names, versions } = definitionOf(definition).spec;
    const columns = (versions[0]?.additionalPrinterColumns ?? []).filter((column) => (column.priority ?? 0) === 0);
    return [names.kind, (names.shortNames ?? []).join(","), columns.map((column) => column.name).join(" | ")];
  });
  expect(shown).toEqual([
    ["StoragePolicy", "sp,spolicy", "High IOPS | Low IOPS | Phase | Watched | Migrations | Age"],
    ["ErasureCodingPolicy", "ecp", "Data Shards | Parity Shards | Stripe Size | Algorithm | Phase | Age"],
    ["Migration", "mig", "Volume | From | To | Phase | Progress | Outcome | Age"],
    ["ECVolume", "ecv", "Size | Policy | Phase | Age"],
    ["ECStripe", "ecs", "Volume | Stripe ID | Status | Healthy Shards | Age"],
    ["StorageNode", "sn", "State | Version | Since | Age"],
    ["Cluster", "", "Cluster UUID | Age"],
    ["VolumeTombstone", "", "Volume | Deleted | Age"],
  ]);
});

const described = <S extends z.ZodType>(schema: S): S => schema.describe("text") as S;

test("a union becomes one object whose rules say which member has which fields", () => {
  const union = z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("a"), n: described(z.int().min(1).max(3)), x: described(z.string()) }),
    z.strictObject({ kind: z.literal("b"), n: described(z.int().min(2).max(9)) }),
  ]);
  expect(structuralSchema(described(union), "spec", { "spec.kind": "which" })).toEqual({
    description: "text",
    type: "object",
    required: ["kind"],
    "x-kubernetes-validations": [
      { rule: "self.kind != 'a' || (has(self.n) && has(self.x))", message: "kind a needs n, x" },
      { rule: "self.kind != 'b' || (has(self.n) && !has(self.x))", message: "kind b needs n and takes no x" },
    ],
    properties: {
      kind: { description: "which", type: "string", enum: ["a", "b"] },
      n: { description: "text", type: "integer", format: "int64", minimum: 1, maximum: 9 },
      x: { description: "text", type: "string" },
    },
  });
});

test("what Kubernetes can't express, or nobody described, is an error that names the field", () => {
  const bad: [z.ZodType, string][] = [
    [z.object({ a: z.string() }), "spec.a: it has no description"],
    [z.object({ a: described(z.union([z.string(), z.number()])) }), "spec.a: a union needs a field"],
    [z.object({ a: described(z.any()) }), "spec.a: a structural schema names its type"],
    [z.object({ a: described(z.array(z.unknown())) }), "spec.a[]: a structural schema names its type"],
  ];
  for (const [schema, message] of bad) expect(() => structuralSchema(described(schema), "spec")).toThrow(message);
  expect(() => structuralSchema(described(z.date()), "spec")).toThrow();
});
