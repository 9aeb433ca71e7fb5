import { expect, test } from "bun:test";
import type { Source } from "../runtime/controller.ts";
import { migrationSample } from "../testing/crd-samples.ts";
import { type KeptMigration, keepMigration } from "./kept-migration.ts";
import { ecStanding, onlyBegun } from "./migration-work.ts";

const kept = (
  name: string,
  phase: string,
  more: { abort?: boolean; deletionTimestamp?: string } = {},
): KeptMigration => {
  const { abort = false, ...metadata } = more;
  const { spec, status } = migrationSample;
  return keepMigration({
    ...migrationSample,
    metadata: { name, uid: name, ...metadata },
    spec: { ...spec, abort },
    status: { ...status, phase },
  } as never);
};

test("a brain that only looks begins no Migration, goes on with those under way, and ends those that are called off", () => {
  const told: string[] = [];
  const all = [
    kept("waits", "Pending"),
    kept("copies", "Copying"),
    kept("aborted", "Pending", { abort: true }),
    kept("deleted", "Pending", { deletionTimestamp: "2026-01-01T00:00:00Z" }),
  ];
  const source: Source<KeptMigration> = {
    whenSynced: Promise.resolve(),
    values: () => all,
    addHandler: (handler) => {
      for (const one of all) handler.added?.(one);
      for (const one of all) handler.updated?.(one, one);
    },
  };
  const filtered = onlyBegun(source);
  filtered.addHandler({
    added: ({ metadata }) => told.push(metadata.name),
    updated: ({ metadata }) => told.push(metadata.name),
  });
  expect(told).toEqual(["copies", "aborted", "deleted", "copies", "aborted", "deleted"]);
  expect([...filtered.values()].map(({ metadata }) => metadata.name)).toEqual(["copies", "aborted", "deleted"]);
});

test("an ECVolume is as healthy as its ECStripes, and only while it is ready and stays", async () => {
  const volume = (phase: string, metadata: object = {}) => ({
    metadata: { name: "v", ...metadata },
    spec: { code: { family: "rs", k: 4, m: 2 } },
    status: { phase },
  });
  const standing = (object: object | undefined, whole: boolean | undefined) =>
    ecStanding({ get: async () => object as never }, { isWhole: () => whole }, "v");
  expect(await standing(volume("Ready"), true)).toEqual({ parityShards: 2, healthy: true });
  expect(await standing(volume("Ready"), false)).toMatchObject({ healthy: false });
  expect(await standing(volume("Ready"), undefined)).toMatchObject({ healthy: false });
  expect(await standing(volume("Importing"), true)).toMatchObject({ healthy: false });
  expect(await standing(volume("Ready", { deletionTimestamp: "2026-01-01T00:00:00Z" }), true)).toMatchObject({
    healthy: false,
  });
  expect(await standing(undefined, true)).toBeUndefined();
});
