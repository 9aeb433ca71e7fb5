import { describe, expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { replicaCountAnnotation } from "./erasure-coded.ts";
import { historyOf, lastMoves } from "./history.ts";
import type { KnownMigration } from "./known-migrations.ts";
import { sampleNowMs, samplePool, sampleVolume } from "./testing/decision-samples.ts";
import { sampleEnd, sampleMigration } from "./testing/migration-samples.ts";
import { dropReplicaCounts, noteMoves } from "./volume-notes.ts";

const ended = (n: number, result = "Succeeded") =>
  sampleMigration(`m${n}`, { volumeName: `pvc-${n}`, end: sampleEnd(result, n * 1_000) });

test("the history has the latest fifty, newest first, those of deleted objects included, and is the same when asked again", () => {
  const first = historyOf(
    [],
    Array.from({ length: 70 }, (_, n) => ended(n)),
  );
  expect([first.length, first[0]?.migration, first.at(-1)?.migration]).toEqual([50, "m0", "m49"]);
  expect(historyOf(first, [ended(0), ended(1)])).toEqual(first);
  expect(historyOf([], [ended(1, "TimedOut"), sampleMigration("running")])).toMatchObject([
    { volumeName: "pvc-1", success: false, duration: "1m30s", error: "TimedOut, RebuildFailed: what happened" },
  ]);
});

test("volumes are told when they were moved last, once, and those that say something newer or unreadable are left alone", async () => {
  const moved = lastMoves([ended(1), ended(2), ended(3), ended(4, "Failed"), ended(5)]);
  expect([...moved.keys()]).toEqual(["pvc-1", "pvc-2", "pvc-3", "pvc-5"]);
  const written: [string, Record<string, string | null>][] = [];
  const volumes = [
    { name: "pvc-1", lastMigration: undefined },
    { name: "pvc-2", lastMigration: new Date(sampleNowMs).toISOString() },
    { name: "pvc-3", lastMigration: "rubbish" },
    { name: "pvc-4", lastMigration: undefined },
    { name: "pvc-5", lastMigration: "2020-01-01T00:00:00Z" },
  ];
  const annotate = async (name: string, annotations: Record<string, string | null>) =>
    void written.push([name, annotations]);
  expect(await noteMoves({ annotate }, moved, volumes)).toEqual([]);
  expect(written.map(([name]) => name)).toEqual(["pvc-1", "pvc-5"]);
  expect(written[0]?.[1]).toEqual({
    "storage.billyronks.io/last-migration": new Date(sampleNowMs - 1_000).toISOString(),
  });
  const gone = async () => Promise.reject(new AppError("NotFound", "gone"));
  expect(await noteMoves({ annotate: gone }, moved, volumes)).toEqual([]);
});

describe("how many replicas a volume had", () => {
  const pool = (name: string, labels = {}) => samplePool(name, `node-${name}`, "any", { labels });
  const pools = [pool("hot-1"), pool("hot-2"), pool("ec-1", { "couchestor/ec-volume": "ec" })];
  const on = (names: string[], replicaCountBefore = "2") =>
    sampleVolume(
      "pvc-1",
      names.map((name) => pool(name)),
      { replicaCountBefore },
    );
  const back = sampleMigration("back", { toTier: "hot", end: sampleEnd("Succeeded") });
  const dropped = async (volume: ReturnType<typeof on>, migrations: KnownMigration[]) => {
    const changes: [string, Record<string, string | null>][] = [];
    const annotate = async (name: string, annotations: Record<string, string | null>) =>
      void changes.push([name, annotations]);
    const world = { volumes: [volume], pools };
    expect(await dropReplicaCounts({ annotate }, world, new Map([[volume.uuid, migrations]]))).toEqual([]);
    return changes;
  };

  test("is taken off a volume that has as many again, and only then", async () => {
    expect(await dropped(on(["hot-1", "hot-2"]), [back])).toEqual([["pvc-1", { [replicaCountAnnotation]: null }]]);
    expect(await dropped(on(["hot-1"]), [back])).toEqual([]);
    expect(await dropped(on(["hot-1", "ec-1"]), [back])).toEqual([]);
    expect(await dropped(on(["hot-1", "gone-1"]), [back])).toEqual([]);
    expect(await dropped(on(["hot-1", "hot-2"], "two"), [back])).toEqual([]);
  });

  test("stays on one that is about to leave, or of whose last way nothing is known", async () => {
    const leaves = sampleMigration("leaves", { toTier: "cold", createdMs: back.createdMs + 1 });
    const failed = sampleMigration("failed", { createdMs: back.createdMs + 1, end: sampleEnd("Failed") });
    for (const migrations of [[], [back, leaves], [back, failed], [{ ...leaves, end: sampleEnd("Succeeded") }]])
      expect(await dropped(on(["hot-1", "hot-2"]), migrations)).toEqual([]);
  });

  test("stays readable although it can't be taken off; one whose volume is gone is no trouble", async () => {
    const migrations = new Map([["uuid-pvc-1", [back]]]);
    const fail = (code: "NotFound" | "Unavailable") => ({ annotate: () => Promise.reject(new AppError(code, "no")) });
    const world = { volumes: [on(["hot-1", "hot-2"])], pools };
    expect(await dropReplicaCounts(fail("NotFound"), world, migrations)).toEqual([]);
    expect(await dropReplicaCounts(fail("Unavailable"), world, migrations)).toHaveLength(1);
  });
});
