import { expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { historyOf, lastMoves } from "./history.ts";
import { sampleNowMs } from "./testing/decision-samples.ts";
import { sampleEnd, sampleMigration } from "./testing/migration-samples.ts";
import { noteMoves } from "./volume-notes.ts";

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
  const written: [string, Record<string, string>][] = [];
  const volumes = [
    { name: "pvc-1", lastMigration: undefined },
    { name: "pvc-2", lastMigration: new Date(sampleNowMs).toISOString() },
    { name: "pvc-3", lastMigration: "rubbish" },
    { name: "pvc-4", lastMigration: undefined },
    { name: "pvc-5", lastMigration: "2020-01-01T00:00:00Z" },
  ];
  const annotate = async (name: string, annotations: Record<string, string>) => void written.push([name, annotations]);
  expect(await noteMoves({ annotate }, moved, volumes)).toEqual([]);
  expect(written.map(([name]) => name)).toEqual(["pvc-1", "pvc-5"]);
  expect(written[0]?.[1]).toEqual({
    "storage.billyronks.io/last-migration": new Date(sampleNowMs - 1_000).toISOString(),
  });
  const gone = async () => Promise.reject(new AppError("NotFound", "gone"));
  expect(await noteMoves({ annotate: gone }, moved, volumes)).toEqual([]);
});
