/** The published description of Mayastor's REST API with our overlay. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export type Json = Record<string, unknown>;

interface OverlayEntry {
  at: string;
  add?: unknown;
  remove?: string[];
  source: string;
}

const testdata = join(import.meta.dir, "../testdata");
const read = (name: string): unknown => Bun.YAML.parse(readFileSync(join(testdata, name), "utf8"));

/** The description as servers serve it: published, then overlaid. */
export function mayastorDescription(): Json {
  const description = read("mayastor-v0-openapi.yaml") as Json;
  for (const entry of overlayEntries()) apply(description, entry);
  return description;
}

export function overlayEntries(): OverlayEntry[] {
  return read("mayastor-v0-overlay.yaml") as OverlayEntry[];
}

function apply(description: Json, entry: OverlayEntry): void {
  const target = entry.at
    .slice(1)
    .split("/")
    .reduce<unknown>((at, key) => (at as Json | undefined)?.[key], description);
  if (Array.isArray(target)) {
    for (const value of entry.remove ?? []) {
      const index = target.indexOf(value);
      if (index === -1) throw new Error(`overlay: ${entry.at} has no ${value}`);
      target.splice(index, 1);
    }
    target.push(...((entry.add as unknown[] | undefined) ?? []));
  } else if (typeof target === "object" && target !== null) {
    Object.assign(target, entry.add);
  } else throw new Error(`overlay: there is no ${entry.at}`);
}
