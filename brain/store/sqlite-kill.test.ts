import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { AcknowledgedLine } from "./sqlite-kill-writer.ts";
import { openSqliteStore } from "./sqlite-store.ts";

const folder = mkdtempSync(join(tmpdir(), "sqlite-kill-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rounds = 12;
const linesMaxBeforeKill = 4000;
const seed = 7;

/** Starts the writer, kills it with SIGKILL once it has printed `killAfter` lines, and returns every line it printed. */
async function killedWriter(path: string, round: number, killAfter: number): Promise<AcknowledgedLine[]> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "sqlite-kill-writer.ts"), path, String(round)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  let text = "";
  let lines = 0;
  const decoder = new TextDecoder();
  for await (const part of child.stdout) {
    const came = decoder.decode(part, { stream: true });
    text += came;
    lines += came.split("\n").length - 1;
    if (lines >= killAfter) child.kill("SIGKILL");
  }
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  return text.split("\n").slice(0, -1) as AcknowledgedLine[];
}

test("all that was acknowledged before a SIGKILL at any moment is there, and revisions never go back", async () => {
  const path = join(folder, "brain.db");
  const prng = seededPrng(seed);
  const acknowledged = new Map<string, number>();
  let revision = 0;
  for (let round = 0; round < rounds; round++) {
    const killAfter = 1 + prng.below(round % 3 === 0 ? 20 : linesMaxBeforeKill);
    for (const line of await killedWriter(path, round, killAfter)) {
      const [name = "", version] = line.split(" ");
      acknowledged.set(name, Number(version));
    }
    const store = await openSqliteStore(path, { clock: systemClock, prng });
    const listed = await store.list(storageNodeKind);
    expect(Number(listed.revision)).toBeGreaterThan(revision);
    revision = Number(listed.revision);
    const found = new Map(listed.items.map((item) => [item.metadata.name, Number(item.spec.labels["v"])]));
    for (const [name, version] of acknowledged) {
      const now = found.get(name) ?? 3;
      // A write that was not yet acknowledged may have been made durable too: then the object is one version ahead.
      if (now < version || (version === 1 && now > 2))
        throw new Error(`seed ${seed}, round ${round}: ${name} was ${version}, is ${now}`);
      acknowledged.set(name, now);
    }
    await store.close();
  }
  expect(acknowledged.size).toBeGreaterThan(rounds * 5);
}, 180_000);
