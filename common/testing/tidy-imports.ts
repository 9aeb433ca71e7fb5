/**
 * Import direction: common ← native-ffi ← agent, common ← brain. One root entry imports both daemons, lazily.
 */
import { isTest, type Offence, type Rule, type SourceFile } from "./tidy-rules.ts";

const allowed: Record<string, readonly string[]> = {
  common: ["common"],
  "native-ffi": ["common", "native-ffi"],
  agent: ["common", "native-ffi", "agent"],
  brain: ["common", "brain"],
  // It describes the rest: what is built, and the reference of the command line.
  deploy: ["common", "deploy", "native-ffi", "agent", "brain"],
};

export interface Import {
  line: number;
  specifier: string;
  lazy: boolean;
}

/** Every import of a file, type-only and dynamic ones included. */
export function importsOf(file: SourceFile): Import[] {
  return file.lines.flatMap((line, index) => {
    const found: Import[] = [];
    const still = /^\s*(?:import\s*|(?:import|export)\b.*\bfrom\s*|\}\s*from\s*)["']([^"']+)["']/.exec(line)?.[1];
    if (still !== undefined) found.push({ line: index + 1, specifier: still, lazy: false });
    for (const match of line.matchAll(/\bimport\(\s*["']([^"']+)["']/g)) {
      found.push({ line: index + 1, specifier: match[1] ?? "", lazy: true });
    }
    return found;
  });
}

/** The package of ours that a specifier leads to from `path`, or undefined for anything else. */
export function packageOf(specifier: string, path: string): string | undefined {
  const named = /^@couchestor\/([^/]+)\//.exec(specifier)?.[1];
  if (named !== undefined) return named;
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, `file:///${path}`).pathname.split("/")[1];
}

export const importDirection: Rule = (file) => {
  const from = file.path.includes("/") ? (file.path.split("/")[0] ?? "") : "root";
  return importsOf(file).flatMap(({ line, specifier, lazy }): Offence[] => {
    const to = packageOf(specifier, file.path);
    if (to === undefined || to === from || to.endsWith(".ts") || to.endsWith(".json")) return [];
    if (from === "root") {
      const daemon = to === "agent" || to === "brain";
      return daemon && !lazy ? [{ line, message: `the root entry imports ${to} lazily only` }] : [];
    }
    const others = allowed[from];
    if (others !== undefined && !others.includes(to)) {
      return [{ line, message: `${from} must not import ${to} (${specifier})` }];
    }
    return specifier.startsWith(".") ? [{ line, message: `reach ${to} as @couchestor/${to}/…` }] : [];
  });
};

/** Imports name files as they are, with their extension. */
export const extensions: Rule = (file) =>
  importsOf(file).flatMap(({ line, specifier }) => {
    const ours = specifier.startsWith(".") || specifier.startsWith("@couchestor/");
    return ours && !/\.\w+$/.test(specifier) ? [{ line, message: `an import without extension: ${specifier}` }] : [];
  });

/** Tests and their helpers stay out of what ships. */
export const noTestingInSource: Rule = (file) => {
  if (isTest(file.path) || /\/bench\/|\/sim\/|\.sim\.ts$/.test(file.path)) return [];
  return importsOf(file).flatMap(({ line, specifier }) =>
    /\/testing\/|^bun:test$|^fast-check$/.test(specifier)
      ? [{ line, message: `test code in source: ${specifier}` }]
      : [],
  );
};
