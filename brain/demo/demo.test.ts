/** The whole product at once: the real demo with a small file, as a person would run it. */
import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { readStandaloneFile } from "../standalone/state-file.ts";

const program = [process.execPath, join(import.meta.dir, "../../couchestor.ts")];

interface DemoDocument {
  ok: boolean;
  file: { bytes: number; sha256: string };
  steps: { name: string; ok: boolean; text: string; figures: Record<string, unknown> }[];
}

test("the demo: import, lose two nodes, read, rebuild, audit, repair rot, and a clear error when too much is lost", async () => {
  await using dir = await tempDir("demo");
  const child = Bun.spawn([...program, "demo", "--size", "16MiB", "--json", "--data-dir", dir.path], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`exit code ${code}\n${stderr}\n${stdout}`);
  const document = JSON.parse(stdout) as DemoDocument;
  const failed = document.steps.filter((step) => !step.ok).map((step) => `${step.name}: ${step.text}`);
  expect(failed).toEqual([]);
  expect(document.steps.map((step) => step.name)).toEqual([
    "start",
    "file",
    "import",
    "overhead",
    "kill two",
    "degraded read",
    "rebuild",
    "placement",
    "audit",
    "damage",
    "scrub",
    "second audit",
    "read again",
    "kill two more",
    "refused read",
    "listed",
  ]);
  const figures = (name: string) => document.steps.find((step) => step.name === name)?.figures ?? {};
  for (const name of ["degraded read", "read again"]) {
    expect(figures(name)).toMatchObject({
      sha256: document.file.sha256,
      sha256Equal: true,
      firstDifference: -1,
      bytes: document.file.bytes,
    });
  }
  expect(figures("refused read")).toMatchObject({ error: { code: "Unrecoverable" } });
  expect(await readdir(dir.path)).toEqual([]);
  for (const pid of figures("start")["pids"] as number[]) expect(() => process.kill(pid, 0)).toThrow();
}, 300_000);

test("a demo that is interrupted leaves no process and no file behind", async () => {
  await using dir = await tempDir("demo-interrupted");
  const child = Bun.spawn([...program, "demo", "--size", "64MiB", "--json", "--data-dir", dir.path], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let told = "";
  let pids: number[] = [];
  for await (const piece of child.stderr) {
    told += new TextDecoder().decode(piece);
    // The first step is done: everything runs, and the next one is under way.
    if (pids.length > 0 || !told.includes("✓  1")) continue;
    const [folder] = await readdir(dir.path);
    const running = await readStandaloneFile(join(dir.path, folder ?? "", "cluster"));
    pids = [running?.brain.pid ?? 0, ...(running?.agents ?? []).map((agent) => agent.pid)];
    child.kill("SIGINT");
  }
  expect(await child.exited).toBe(1);
  expect(JSON.parse(await new Response(child.stdout).text())).toMatchObject({ error: { code: "Cancelled" } });
  expect(pids.length).toBe(7);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  expect(await readdir(dir.path)).toEqual([]);
}, 180_000);
