/** Files that import each other, types included: none of them can be read, moved or taken away by itself. */
import { dirname, join } from "node:path/posix";
import type { SourceFile } from "./tidy-rules.ts";

/** The paths of this repository that a file imports, from its root. */
function importsOf({ path, lines }: SourceFile): string[] {
  const found = lines.join("\n").matchAll(/^(?:import|export)\s[^;]*?from "((?:\.|@couchestor\/)[^"]+)"/gm);
  return [...found].map(([, specifier = ""]) =>
    specifier.startsWith(".") ? join(dirname(path), specifier) : specifier.replace("@couchestor/", ""),
  );
}

/** Each circle once, as the files on it in the order of their imports. Cost: one walk over all imports (depth first, three colours). */
export function importCycles(files: readonly SourceFile[]): string[][] {
  const imports = new Map(files.map((file) => [file.path, importsOf(file)]));
  const done = new Set<string>();
  const trail: string[] = [];
  const cycles: string[][] = [];
  const walk = (path: string): void => {
    const at = trail.indexOf(path);
    if (at >= 0) cycles.push(trail.slice(at));
    if (at >= 0 || done.has(path)) return;
    trail.push(path);
    for (const next of imports.get(path) ?? []) walk(next);
    trail.pop();
    done.add(path);
  };
  for (const path of imports.keys()) walk(path);
  return cycles;
}
