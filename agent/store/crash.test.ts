import { describe, expect, test } from "bun:test";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { SimCall, SimFault } from "@couchestor/common/testing/sim-fault.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { crashRun, Model, open, put, remove, violations } from "./testing/crash-workload.ts";

const seeds = [1, 2, 3];

test("a stop at any call of the file system loses nothing acknowledged and returns nothing wrong", async () => {
  const { calls } = await crashRun(1, Number.MAX_SAFE_INTEGER);
  expect(calls).toBeGreaterThan(200);
  for (const seed of seeds) {
    for (let at = 0; at <= calls; at++) {
      const run = await crashRun(seed * 1000 + at, at);
      if (run.violations.length > 0)
        throw new Error(`seed ${seed}, stopped at call ${at} of ${calls}: ${run.violations.join("; ")}`);
    }
  }
}, 180_000);

/** Names each sync by what it makes durable: the file, or for a folder the change before it. */
class SyncSites {
  #lastChange = "start";

  label(call: SimCall): string | undefined {
    const file = kindOf(call.path);
    if (call.operation === "sync") return `sync of ${file}${this.#lastChange === "start" ? " at start" : ""}`;
    if (call.operation === "sync-directory") return `sync of folder ${file} after ${this.#lastChange}`;
    if (call.operation === "lock") this.#lastChange = "start";
    if (["make-directory", "rename", "remove", "write"].includes(call.operation))
      this.#lastChange = `${call.operation} ${file}`;
    return undefined;
  }
}

function kindOf(path: string): string {
  if (path.endsWith(".seg")) return "segment";
  if (path.endsWith("segments")) return "segments";
  if (path.includes("superblock")) return "superblock";
  if (path.includes("snapshot")) return "snapshot";
  return path === "/srv/pools/a" ? "pool" : `parent ${path}`;
}

const knownSites = [
  "sync of folder parent / after make-directory segments",
  "sync of folder parent /srv after make-directory segments",
  "sync of folder parent /srv/pools after make-directory segments",
  "sync of folder pool after make-directory segments",
  "sync of folder pool after rename snapshot",
  "sync of folder pool after rename superblock",
  "sync of folder pool after start",
  "sync of folder segments after remove segment",
  "sync of folder segments after write segment",
  "sync of segment",
  "sync of segment at start",
  "sync of snapshot",
  "sync of superblock",
];

describe("without any one sync the crashes above find a loss:", async () => {
  const sites = new SyncSites();
  const labels = new Set<string>();
  // Stopped where a next process finds a segment that may not be durable.
  await crashRun(1, 100, (call) => {
    const label = sites.label(call);
    if (label) labels.add(label);
    return undefined;
  });
  test("all kinds of sync are known", () => {
    expect([...labels].sort()).toEqual(knownSites);
  });
  labels.delete(afterRestart); // needs two stops at certain calls: below
  for (const label of labels) {
    test(label, async () => {
      expect(await runsUntilViolation(label)).toBeGreaterThan(0);
    }, 180_000);
  }
});

/** At a start, makes durable the removals of a process that was killed before it synced them. */
const afterRestart = "sync of folder segments after start";

/**
 * Chunk 1 lies in segment 1 and its deletion in a later one. A first process is killed between removing segment 1 and syncing that; a second
 * compacts the deletion away, since no segment needs it; the machine stops in between. Returns whether the deleted chunk is back.
 */
async function deletedComesBack(seed: number, sabotage?: (call: SimCall) => boolean): Promise<boolean> {
  const fs = new SimFileSystem({ prng: seededPrng(seed) });
  const model = new Model();
  const stopAfterRemoving = (name: string) => {
    let removed = false;
    fs.inject = (call) => {
      if (sabotage?.(call)) return "skip";
      if (call.operation === "remove" && call.path.endsWith(name)) removed = true;
      return removed && call.operation === "sync-directory" ? "crash" : undefined;
    };
  };
  const first = await open(fs, model);
  await put(first, model, 1);
  await first.close();
  const second = await open(fs, model);
  // Segment 1: chunks 1 and 10 to 13. Segment 2: 14, 15, the deletion of 1, 16, 17. Segment 3: the rest. All but 20 are deleted.
  for (let no = 10; no < 16; no++) await put(second, model, no);
  await remove(second, model, [1]);
  for (let no = 16; no <= 20; no++) await put(second, model, no);
  await remove(second, model, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  stopAfterRemoving("1.seg");
  await expect(second.compact([1])).rejects.toThrow();
  fs.kill();
  fs.inject = (call) => (sabotage?.(call) ? "skip" : undefined);
  const third = await open(fs, model);
  stopAfterRemoving("2.seg");
  await expect(third.compact([2])).rejects.toThrow();
  fs.inject = undefined;
  fs.crash();
  return (await violations(fs, model)).some((violation) => violation.startsWith("chunk 1:"));
}

test(`${afterRestart}: without it a deleted chunk comes back, with it never`, async () => {
  const skip = (call: SimCall, sites: SyncSites): boolean => sites.label(call) === afterRestart;
  let back = 0;
  for (let seed = 1; seed <= 40; seed++) {
    expect(await deletedComesBack(seed)).toBe(false);
    const sites = new SyncSites();
    if (await deletedComesBack(seed, (call) => skip(call, sites))) back++;
  }
  expect(back).toBeGreaterThan(0);
});

async function runsUntilViolation(label: string): Promise<number> {
  const runsMax = 4000;
  for (let run = 1; run <= runsMax; run++) {
    const sites = new SyncSites();
    const sabotage = (call: SimCall): SimFault | undefined => (sites.label(call) === label ? "skip" : undefined);
    const { violations } = await crashRun(run, (run * 37) % 215, sabotage);
    if (violations.length > 0) return run;
  }
  return 0;
}
