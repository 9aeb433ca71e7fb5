/**
 * zod schema → the structural OpenAPI v3 schema that a CustomResourceDefinition takes. What Kubernetes can't say is turned into what it can:
 * a union becomes one object with rules, `strict` goes (the API server prunes what it doesn't know), and numbers keep no bound that every
 * double has. What can't be turned is an error, never dropped in silence.
 */
import { z } from "zod";

/** A JSON schema node, plain data. */
export interface StructuralSchema {
  type?: string;
  format?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  required?: string[];
  properties?: Record<string, StructuralSchema>;
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema;
  oneOf?: StructuralSchema[];
  anyOf?: StructuralSchema[];
  [extension: `x-kubernetes-${string}`]: unknown;
}

/** Descriptions of fields whose own schema has none, by path: `status.pools[].poolUuid`; `*` stands for any key of a map. */
export type FieldTexts = Readonly<Record<string, string>>;

/** Fields that the generator understands; the order is that of the output. */
const keywords = [
  "description",
  "type",
  "format",
  "default",
  "enum",
  "pattern",
  "minimum",
  "exclusiveMinimum",
  "maximum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "required",
] as const;
const dropped = new Set([
  "additionalProperties",
  "properties",
  "items",
  "oneOf",
  "anyOf",
  "propertyNames",
  "$schema",
  "title",
]);

/** The schema of one part of an object, at `path` in messages. Throws when it can't be expressed or when a field has no description. */
export function structuralSchema(schema: z.ZodType, path: string, texts: FieldTexts = {}): StructuralSchema {
  const json = z.toJSONSchema(schema, {
    target: "openapi-3.0",
    io: "input",
    reused: "inline",
    unrepresentable: "throw",
  });
  return node(json as RawNode, path, texts);
}

type RawNode = Record<string, unknown>;

function node(raw: RawNode, path: string, texts: FieldTexts): StructuralSchema {
  const union = (raw["oneOf"] ?? raw["anyOf"]) as RawNode[] | undefined;
  if (union !== undefined) return node({ ...flattened(union, path), ...own(raw) }, path, texts);
  const out: Record<string, unknown> = {};
  for (const keyword of keywords) if (raw[keyword] !== undefined) out[keyword] = raw[keyword];
  for (const [key, value] of Object.entries(raw)) {
    if (key.startsWith("x-kubernetes-")) out[key] = value;
    else if (!dropped.has(key) && !(keywords as readonly string[]).includes(key)) {
      throw new Error(`${path}: the keyword ${key} has no place in a structural schema`);
    }
  }
  out["description"] ??= texts[path];
  if (out["description"] === undefined) throw new Error(`${path}: it has no description; kubectl explain needs one`);
  numbers(out);
  if (out["format"] === "date-time") delete out["pattern"];
  return { ...out, ...children(raw, path, texts) } as StructuralSchema;
}

function children(raw: RawNode, path: string, texts: FieldTexts): StructuralSchema {
  if (raw["type"] === undefined) throw new Error(`${path}: a structural schema names its type`);
  const out: StructuralSchema = {};
  const properties = raw["properties"] as Record<string, RawNode> | undefined;
  // The API server drops an empty one.
  if (properties !== undefined && Object.keys(properties).length > 0) {
    out.properties = Object.fromEntries(
      Object.entries(properties).map(([name, child]) => [name, node(child, `${path}.${name}`, texts)]),
    );
  }
  // The description of items and of a map's values is that of the list or the map: explain doesn't show another.
  if (raw["items"] !== undefined) out.items = plain(raw["items"] as RawNode, `${path}[]`, texts);
  const more = raw["additionalProperties"];
  if (properties === undefined && typeof more === "object" && more !== null) {
    out.additionalProperties = plain(more as RawNode, `${path}.*`, texts);
  }
  if (raw["type"] === "array" && out.items === undefined) throw new Error(`${path}: a list names its items`);
  return out;
}

/** A node that needs no description of its own. */
function plain(raw: RawNode, path: string, texts: FieldTexts): StructuralSchema {
  const out = node({ description: "item", ...raw }, path, texts);
  if (out.description === "item") delete out.description;
  return out;
}

/** Integers that JSON writes as numbers, and bounds that hold anyway. */
function numbers(out: Record<string, unknown>): void {
  const values = out["enum"] as unknown[] | undefined;
  if (out["type"] === "number" && values?.every((value) => Number.isSafeInteger(value))) out["type"] = "integer";
  if (out["minimum"] === Number.MIN_SAFE_INTEGER) delete out["minimum"];
  if (out["type"] === "integer") out["format"] = "int64";
}

/** What a union says beside its members. */
function own(raw: RawNode): RawNode {
  const { oneOf: _, anyOf: __, ...rest } = raw;
  return rest;
}

/** One object with the fields of all members, and a rule for each member that says which of them it has. */
function flattened(members: RawNode[], path: string): RawNode {
  const [first] = members;
  const discriminator = Object.keys((first?.["properties"] as object | undefined) ?? {}).find((name) =>
    members.every((member) => tagOf(member, name) !== undefined),
  );
  if (discriminator === undefined) throw new Error(`${path}: a union needs a field that tells its members apart`);
  const names = [...new Set(members.flatMap((member) => Object.keys(propertiesOf(member))))];
  const properties: Record<string, RawNode> = {};
  for (const name of names) {
    properties[name] =
      name === discriminator
        ? { type: "string", enum: members.map((member) => tagOf(member, name)) }
        : merged(fieldsOf(members, name), `${path}.${name}`);
  }
  const rules = members.map((member) => {
    const tag = tagOf(member, discriminator);
    const required = ((member["required"] as string[] | undefined) ?? []).filter((name) => name !== discriminator);
    const absent = names.filter((name) => propertiesOf(member)[name] === undefined);
    const parts = [...required.map((name) => `has(self.${name})`), ...absent.map((name) => `!has(self.${name})`)];
    const must = [`needs ${required.join(", ")}`, ...(absent.length > 0 ? [`takes no ${absent.join(", ")}`] : [])];
    return {
      rule: `self.${discriminator} != '${tag}' || (${parts.join(" && ")})`,
      message: `${discriminator} ${tag} ${must.join(" and ")}`,
    };
  });
  return { type: "object", properties, required: [discriminator], "x-kubernetes-validations": rules };
}

function propertiesOf(member: RawNode): Record<string, RawNode> {
  return (member["properties"] as Record<string, RawNode> | undefined) ?? {};
}

function fieldsOf(members: readonly RawNode[], name: string): RawNode[] {
  return members.map((member) => propertiesOf(member)[name]).filter((field) => field !== undefined);
}

function tagOf(member: RawNode, name: string): string | undefined {
  const values = propertiesOf(member)[name]?.["enum"] as unknown[] | undefined;
  return values?.length === 1 && typeof values[0] === "string" ? values[0] : undefined;
}

/** One field of several members: the widest bounds of them all. */
function merged(fields: readonly RawNode[], path: string): RawNode {
  const [first = {}] = fields;
  if (fields.some((field) => field["type"] !== first["type"])) {
    throw new Error(`${path}: members of a union give it different types`);
  }
  const minimum = Math.min(...fields.map((field) => Number(field["minimum"] ?? Number.NEGATIVE_INFINITY)));
  const maximum = Math.max(...fields.map((field) => Number(field["maximum"] ?? Number.POSITIVE_INFINITY)));
  const { minimum: _, maximum: __, ...rest } = first;
  return {
    ...rest,
    ...(Number.isFinite(minimum) ? { minimum } : {}),
    ...(Number.isFinite(maximum) ? { maximum } : {}),
  };
}
