import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Migration } from "@couchestor/common/crd/migration.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { appOf } from "../../http/route-table.ts";
import { migrationRoutes } from "../../operator/migration-routes.ts";
import type { PageOptions } from "../../store/ports.ts";
import { migrationSample } from "../../testing/crd-samples.ts";
import { run } from "../testing/run.ts";

const nowMs = Date.parse("2026-02-01T00:00:00Z");
const ago = (ms: number) => new Date(nowMs - ms).toISOString();

function migration(name: string, status: object, spec: object = {}): Migration {
  const { spec: sample } = migrationSample as Migration;
  return {
    ...(migrationSample as Migration),
    metadata: { name, resourceVersion: "1", creationTimestamp: ago(600_000) },
    spec: {
      ...sample,
      volumeName: `pvc-${name}`,
      policyRef: "tiers",
      fromTier: "cold",
      toTier: "hot",
      abort: false,
      ...spec,
    },
    status: { phase: "Pending", steps: [], ...status } as Migration["status"],
  };
}

const running = migration("running", {
  phase: "Copying",
  progressPercent: 45,
  bytesTotal: 2 * 1024 ** 3,
  bytesDone: 1024 ** 3,
  startTime: ago(300_000),
  estimatedEndTime: ago(-180_000),
  message: "fills replica r on hot-1",
  heldSteering: [{ kind: "PoolCordon", target: "cold-1", detail: "", state: "Set" }],
  steps: [
    {
      number: 1,
      name: "AddReplica",
      state: "Done",
      intent: { count: "3" },
      observed: { pool: "hot-1" },
      attempts: 1,
      intendedAt: ago(5_000),
      endedAt: ago(1_000),
    },
  ],
});
const done = migration("done", {
  phase: "Finished",
  startTime: ago(400_000),
  endTime: ago(310_000),
  outcome: { result: "Failed", reason: "RebuildFailed", message: "the rebuild failed twice" },
});
const waiting = migration("waiting", { message: "waits for its turn" }, { policyRef: undefined });

let objects: Migration[];
let conflicts = 0;
let expirations = 0;
let spoilt: string[] = [];
const aborted: string[] = [];
let server: ReturnType<typeof Bun.serve>;
beforeEach(() => {
  objects = structuredClone([done, waiting, running]);
  aborted.length = 0;
  spoilt = [];
  const store = {
    get: async (_: unknown, name: string) => objects.find(({ metadata }) => metadata.name === name),
    pages: async function* (_: unknown, { unreadable }: PageOptions) {
      for (const message of spoilt) unreadable?.("spoilt", new AppError("Internal", message));
      yield { items: objects.slice(0, 2), revision: "1" };
      if (expirations-- > 0) throw new AppError("Conflict", "the snapshot is no longer kept");
      yield { items: objects.slice(2), revision: "1" };
    },
    update: async (_: unknown, object: Migration) => {
      if (conflicts-- > 0) throw new AppError("Conflict", "changed");
      objects = objects.map((old) => (old.metadata.name === object.metadata.name ? object : old));
      return object;
    },
  };
  const routes = migrationRoutes({ store: store as never, aborted: (name) => void aborted.push(name) });
  server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: appOf("test", routes, () => undefined).fetch });
});
afterEach(() => server.stop(true));

const ask = (...argv: string[]) =>
  run(["migration", ...argv, "--brain", `http://127.0.0.1:${server.port}`], { clock: new FakeClock(nowMs) });

describe("migration list", () => {
  test("shows those under way first, with progress and what is left, then how the others ended", async () => {
    expect((await ask("list")).stdout).toBe(
      `MIGRATION  VOLUME       POLICY  FROM  TO   STATE    PROGRESS                   TOOK   WHAT
running    pvc-running  tiers   cold  hot  Copying  45 % of 2.00 GiB, 3m left  5m     fills replica r on hot-1
waiting    pvc-waiting  -       cold  hot  Pending  -                          -      waits for its turn
done       pvc-done     tiers   cold  hot  Failed   -                          1m30s  RebuildFailed: the rebuild failed twice
`,
    );
  });

  test("can be narrowed down, says so when it is cut off, and has everything in JSON", async () => {
    expect((await ask("list", "--policy", "tiers", "--active")).stdout).not.toMatch(/waiting|done/);
    expect((await ask("list", "--volume", "pvc-none")).stdout).toBe("no migrations\n");
    expect((await ask("list", "--limit", "1")).stderr).toContain("1 of 3 migrations are listed");
    const { migrations } = (await ask("list", "--json")).json<{ migrations: object[] }>();
    expect(migrations[0]).toMatchObject({ name: "running", progressPercent: 45, estimatedEndAt: ago(-180_000) });
  });
});

describe("migration list where something is wrong", () => {
  test("shows the others beside one that can't be read, and says which and why", async () => {
    spoilt = ["Migration spoilt: spec.mover: it was written by hand"];
    const { code, stdout, stderr } = await ask("list");
    expect([code, stdout.split("\n").length]).toEqual([0, 5]);
    expect(stderr).toContain("can't be read: Migration spoilt: spec.mover");
    expect((await ask("list", "--json")).json<{ unreadable: string[] }>().unreadable).toEqual(spoilt);
  });

  test("begins anew when the API server no longer keeps what it was reading, and shows each once", async () => {
    expirations = 2;
    expect((await ask("list", "--json")).json<{ total: number }>().total).toBe(3);
  });
});

describe("migration describe", () => {
  test("shows why, how far, each step, and what is set", async () => {
    const { stdout, code } = await ask("describe", "running");
    expect(code).toBe(0);
    for (const text of ["StoragePolicy tiers", "45 % of 2.00 GiB", "PoolCordon", "AddReplica", "pool=hot-1"])
      expect(stdout).toContain(text);
  });

  test("of one that isn't there says what to do", async () => {
    const { code, stderr } = await ask("describe", "none");
    expect([code, stderr]).toEqual([1, expect.stringContaining("couchestor migration list shows which there are")]);
  });
});

describe("migration abort", () => {
  test("asks for it, however often somebody else writes meanwhile, and tells the audit log", async () => {
    conflicts = 3;
    const { code, stdout } = await ask("abort", "running");
    expect([code, stdout]).toEqual([
      0,
      expect.stringContaining("running is being called off; 1 cordon(s) or label(s)"),
    ]);
    expect([objects.find(({ metadata }) => metadata.name === "running")?.spec.abort, aborted]).toEqual([
      true,
      ["running"],
    ]);
    expect((await ask("abort", "running")).code).toBe(0);
    expect(aborted).toEqual(["running"]);
  });

  test("with --dry-run changes nothing, and what has ended can't be called off", async () => {
    expect((await ask("abort", "running", "--dry-run")).stdout).toContain("would call off running, which is Copying");
    expect(objects.some(({ spec }) => spec.abort)).toBe(false);
    const { code, stderr } = await ask("abort", "done");
    expect([code, stderr]).toEqual([1, expect.stringContaining("has ended already: Failed, RebuildFailed")]);
  });
});
