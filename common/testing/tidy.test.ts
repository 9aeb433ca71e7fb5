/**
 * Lints the repository: what no linter of the shelf checks. Every offence is reported as file:line.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { importCycles } from "./import-cycles.ts";
import { extensions, importDirection, noTestingInSource } from "./tidy-imports.ts";
import {
  bannedCalls,
  documented,
  fileLength,
  functionLength,
  noBarrel,
  noDefaultExport,
  noDisabledTests,
  noMachinePaths,
  nothingUnfinished,
  type Rule,
  type SourceFile,
} from "./tidy-rules.ts";

const root = join(import.meta.dir, "../..");

/** Files of the checkout that git knows or would add. */
async function list(...patterns: string[]): Promise<SourceFile[]> {
  const command = [
    "git",
    "-c",
    "safe.directory=*",
    "ls-files",
    "--cached",
    "--others",
    "--exclude-standard",
    "--",
    ...patterns,
  ];
  const git = Bun.spawnSync(command, { cwd: root });
  expect(git.exitCode).toBe(0);
  const paths = git.stdout
    .toString()
    .split("\n")
    .filter((path) => path !== "");
  const files = [...new Set(paths)].map(async (path) => ({ path, file: Bun.file(join(root, path)) }));
  const present = (await Promise.all(files)).filter(({ file }) => file.size > 0);
  return Promise.all(present.map(async ({ path, file }) => ({ path, lines: (await file.text()).split("\n") })));
}

const sources = await list("*.ts", "*.tsx");
const texts = await list("*.md", "*.json", "*.sh", "Makefile", ".ci/*", "deploy/*", "*.yaml", "*.yml", "*.toml");

/** Where a rule cannot hold, with the reason. */
const exceptions: Record<string, readonly RegExp[]> = {
  // The one module that prints for people and machines; and workers and benches report to a terminal through it.
  "banned calls": [/^brain\/cli\/output\.ts$/],
  unfinished: [/^common\/testing\/tidy/],
};

function offences(name: string, rule: Rule, files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => !(exceptions[name] ?? []).some((pattern) => pattern.test(file.path)))
    .flatMap((file) => rule(file).map(({ line, message }) => `${file.path}:${line}: ${message}`));
}

const rules: Record<string, Rule> = {
  "banned calls": bannedCalls,
  "import direction": importDirection,
  "imports with extension": extensions,
  "no test code in source": noTestingInSource,
  "file length": fileLength,
  "function length": functionLength,
  "no disabled tests": noDisabledTests,
  documented,
  "no barrel files": noBarrel,
  "named exports": noDefaultExport,
  unfinished: nothingUnfinished,
  "no machine paths": noMachinePaths,
};

for (const [name, rule] of Object.entries(rules)) {
  test(`tidy: ${name}`, () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(offences(name, rule, sources)).toEqual([]);
  });
}

test("tidy: no machine paths in documents and build files", () => {
  expect(offences("no machine paths", noMachinePaths, texts)).toEqual([]);
});

test("tidy: only wiring joins the codec's adapters with the agent's core", () => {
  const adapters = /@couchestor\/native-ffi\/(?!.*ports\.ts)/;
  const allowed =
    /^agent\/(wiring|main)\.ts$|^agent\/wiring\/|\.test\.ts$|^agent\/bench\/|\/testing\/|^deploy\/|adapter|worker/;
  const found = sources
    .filter(({ path }) => path.startsWith("agent/") && !allowed.test(path))
    .flatMap(({ path, lines }) =>
      lines.flatMap((line, i) => (adapters.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
    );
  expect(found).toEqual([]);
});

test("tidy: no two files import each other", () => {
  // A simulated world and what disturbs it know each other.
  const simulator = /^brain\/migration\/sim\//;
  const found = importCycles(sources).filter((cycle) => !cycle.every((path) => simulator.test(path)));
  expect(found).toEqual([]);
});

test("tidy: files that import each other are found, by types and over a third as well", () => {
  const file = (path: string, ...imports: string[]) => ({ path, lines: imports.map((text) => `import ${text};`) });
  const a = file("agent/a.ts", 'type { B } from "./x/b.ts"');
  const b = file("agent/x/b.ts", '{\n  c,\n} from "@couchestor/common/c.ts"');
  expect(importCycles([a, b, file("common/c.ts", '{ z } from "zod"')])).toEqual([]);
  expect(importCycles([a, b, file("common/c.ts", '{ a } from "../agent/a.ts"')])).toEqual([
    ["agent/a.ts", "agent/x/b.ts", "common/c.ts"],
  ]);
});

/** Each rule must fire on what it forbids, or the tests above prove nothing. */
const mustFire: [Rule, string, string][] = [
  [bannedCalls, "agent/a.ts", "const t = Date.now();"],
  [bannedCalls, "agent/a.ts", "const t = new Date();"],
  [bannedCalls, "brain/a.ts", "setTimeout(run, 5);"],
  [bannedCalls, "brain/a.ts", "console.log(1);"],
  [importDirection, "common/a.ts", 'import { x } from "@couchestor/agent/main.ts";'],
  [importDirection, "brain/a.ts", 'import type { x } from "../native-ffi/codec/ports.ts";'],
  [importDirection, "agent/a.ts", '} from "@couchestor/brain/main.ts";'],
  [importDirection, "couchestor.ts", 'import { runAgent } from "./agent/main.ts";'],
  [importDirection, "agent/x/a.ts", 'import { x } from "../../common/errors/http.ts";'],
  [extensions, "agent/a.ts", 'import { x } from "./b";'],
  [noTestingInSource, "agent/a.ts", 'import { x } from "@couchestor/common/testing/fake-clock.ts";'],
  [noDisabledTests, "agent/a.test.ts", `test.${"skip"}("x", () => {});`],
  [fileLength, "agent/a.ts", "x\n".repeat(301)],
  [functionLength, "agent/a.ts", `export function f() {\n${"  x();\n".repeat(70)}}\n`],
  [documented, "agent/a.ts", "export const x = 1;"],
  [noBarrel, "agent/a.ts", 'export { x } from "./b.ts";'],
  [noBarrel, "agent/index.ts", "/** x */"],
  [noDefaultExport, "agent/a.ts", "export default {};"],
  [nothingUnfinished, "agent/a.ts", `// ${"TO" + "DO"}: later`],
  [noMachinePaths, "agent/a.ts", `const p = "${"/ro" + "ot"}/.cache";`],
];

test("tidy: every rule fires on what it forbids", () => {
  for (const [rule, path, text] of mustFire) {
    expect([path, text, rule({ path, lines: text.split("\n") }).length]).toEqual([path, text, 1]);
  }
});

test("tidy: rules leave alone what is allowed", () => {
  const fine: [Rule, string, string][] = [
    [bannedCalls, "common/runtime/clock.ts", "Date.now()"],
    [bannedCalls, "agent/a.ts", '// Date.now() is banned\nconst x = "console.log";'],
    [bannedCalls, "agent/a.ts", "const d = new Date(clock.wallMs()); this.setTimeout(5);"],
    [importDirection, "couchestor.ts", 'const { runAgent } = await import("./agent/main.ts");'],
    [importDirection, "agent/a.ts", 'import { x } from "@couchestor/native-ffi/codec/ports.ts";'],
    [documented, "agent/a.ts", "/** What it is. */\nexport const x = 1;"],
    [noDisabledTests, "agent/a.test.ts", 'test.skipIf(!isRoot)("needs root", run);'],
  ];
  for (const [rule, path, text] of fine) expect(rule({ path, lines: text.split("\n") })).toEqual([]);
});
