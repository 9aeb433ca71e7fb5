import { expect, test } from "bun:test";
import type { KnownMigration } from "./known-migrations.ts";
import { nextRemoved, type Removed, withRemoved } from "./prune.ts";
import { sampleEnd, sampleMigration } from "./testing/migration-samples.ts";

const uid = "u";
const limit = 10;
/** Every third one failed; number n is of volume n % 4 and older the smaller n is. */
const one = (n: number): KnownMigration =>
  sampleMigration(`m${n}`, {
    policyUid: uid,
    volumeUuid: `volume-${n % 4}`,
    createdMs: n,
    end: sampleEnd(n % 3 === 0 ? "Failed" : "Succeeded"),
  });
const counted = (there: readonly KnownMigration[]) => ({
  total: there.length,
  failed: there.filter(({ end }) => end?.result === "Failed").length,
});

test("old ones go, at most fifty at a time, and the counts stay exact whatever crashes in between", () => {
  const all = Array.from({ length: 130 }, (_, n) => one(n));
  const exact = counted(all);
  let there = all;
  let removed: Removed | undefined;
  for (let round = 0; round < 8; round++) {
    removed = nextRemoved(removed, there, uid, limit);
    expect(withRemoved(counted(there), removed, there)).toEqual(exact);
    // A brain that dies in the middle has removed some of them; the next one says the same as long as any is there.
    const half = removed?.names.slice(0, 20) ?? [];
    there = there.filter(({ name }) => !half.includes(name));
    expect(withRemoved(counted(there), removed, there)).toEqual(exact);
    if (removed?.names.some((name) => there.some((left) => left.name === name)))
      expect(nextRemoved(removed, there, uid, limit)).toBe(removed);
    there = there.filter(({ name }) => !removed?.names.includes(name));
    expect(withRemoved(counted(there), removed, there)).toEqual(exact);
  }
  expect(there.map(({ name }) => name)).toEqual(Array.from({ length: limit }, (_, i) => `m${120 + i}`));
});

test("the latest of each volume stays however old it is, and so does what another policy of the name decided", () => {
  const old = [sampleMigration("only", { policyUid: uid, volumeUuid: "rare", createdMs: 0, end: sampleEnd("Failed") })];
  const foreign = Array.from({ length: 5 }, (_, n) => ({ ...one(n), name: `f${n}`, policyUid: "another" }));
  const all = [...old, ...foreign, ...Array.from({ length: 30 }, (_, n) => one(100 + n))];
  const names = nextRemoved(undefined, all, uid, limit)?.names ?? [];
  expect(names).toHaveLength(20);
  expect(names.filter((name) => !name.startsWith("m1"))).toEqual([]);
  expect(nextRemoved(undefined, all, undefined, limit)).toBeUndefined();
  expect(nextRemoved(undefined, all.slice(0, 8), uid, limit)).toBeUndefined();
});
