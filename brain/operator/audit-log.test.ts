import { expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { AuditLog } from "./audit-log.ts";

const news = (n: number) => ({
  migration: `m${n}`,
  volumeName: "pvc-1",
  policyRef: n % 2 === 0 ? "p" : undefined,
  type: "Normal" as const,
  reason: "MigrationStarted",
  note: "why\nit began",
});

test("lines are appended in order, files are turned over when they are full, and only so many are kept", async () => {
  const dir = await mkdtemp(join(tmpdir(), "couchestor-audit-"));
  try {
    const file = join(dir, "deep", "audit.jsonl");
    const deps = { clock: new FakeClock(), logger: silentLogger() };
    for (let n = 0; n < 40; n++) {
      // Each by another process, as after a restart.
      const log = new AuditLog(deps, { file, identity: "brain-1", bytesMax: 400, filesKept: 2 });
      log.news(news(n));
      await log.flush();
    }
    expect((await readdir(join(dir, "deep"))).sort()).toEqual(["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
    const texts = await Promise.all([".2", ".1", ""].map((end) => Bun.file(`${file}${end}`).text()));
    const lines = texts
      .join("")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { migration: string });
    expect(lines.map(({ migration }) => migration)).toEqual(lines.map((_, i) => `m${40 - lines.length + i}`));
    expect(lines.at(-1)).toMatchObject({ brain: "brain-1", event: "MigrationStarted", decidedBy: { kind: "Person" } });
    expect(lines.at(-2)).toMatchObject({ decidedBy: { kind: "StoragePolicy", name: "p" } });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test("what can't be written is counted and told, and nothing waits for it", async () => {
  const log = new AuditLog(
    { clock: new FakeClock(), logger: silentLogger() },
    { file: "/dev/null/no/file", identity: "b" },
  );
  for (let n = 0; n < 3; n++) log.news(news(n));
  await log.flush();
  expect(log.dropped).toBe(3);
  const none = new AuditLog({ clock: new FakeClock(), logger: silentLogger() }, { file: undefined, identity: "b" });
  none.news(news(1));
  await none.flush();
  expect(none.dropped).toBe(0);
});

test("after a write that failed halfway the next line is one of its own", async () => {
  const dir = await mkdtemp(join(tmpdir(), "couchestor-audit-"));
  try {
    const file = join(dir, "audit.jsonl");
    await mkdir(file);
    const log = new AuditLog({ clock: new FakeClock(), logger: silentLogger() }, { file, identity: "b" });
    log.news(news(1));
    await log.flush();
    await rm(file, { recursive: true });
    await writeFile(file, '{"time":"20');
    log.news(news(2));
    log.news(news(3));
    await log.flush();
    const [half, ...lines] = (await Bun.file(file).text()).trim().split("\n");
    expect([half, log.dropped]).toEqual(['{"time":"20', 1]);
    expect(lines.map((line) => (JSON.parse(line) as { migration: string }).migration)).toEqual(["m2", "m3"]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
