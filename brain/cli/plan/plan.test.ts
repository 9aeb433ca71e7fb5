import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { appOf } from "../../http/route-table.ts";
import { decide } from "../../tiering/decision.ts";
import { unknown } from "../../tiering/heat.ts";
import { planRoute } from "../../tiering/plan-route.ts";
import type { TieringReport } from "../../tiering/reconcile.ts";
import { sampleNowMs, samplePolicy, samplePool, sampleVolume, score } from "../../tiering/testing/decision-samples.ts";
import { run } from "../testing/run.ts";

const pools = ["hot", "cold"].flatMap((tier) => [1, 2].map((n) => samplePool(`${tier}-${n}`, `node-${n}`, tier)));

function report(more: Partial<TieringReport> = {}): TieringReport {
  const on = (name: string) => pools.filter((pool) => pool.name === name);
  const volumes = [
    sampleVolume("pvc-idle", on("hot-1")),
    sampleVolume("pvc-busy", on("cold-1")),
    sampleVolume("pvc-quiet", on("hot-2")),
    sampleVolume("pvc-rested", on("cold-2"), { lastMigration: new Date(sampleNowMs - 3_600_000).toISOString() }),
  ];
  const heats = new Map([
    ["pvc-idle", 3.14],
    ["pvc-busy", 9000],
    ["pvc-rested", 8000],
  ]);
  const heat = (_: unknown, { name }: { name: string }) => {
    const iops = heats.get(name);
    return iops === undefined ? unknown("Stale", "the latest sample came 900 s ago") : score(iops);
  };
  const input = {
    policies: [samplePolicy("default", { maxConcurrent: 1 })],
    volumes,
    pools,
    heat,
    active: [],
    dryRun: false,
  };
  const plan = decide({ ...input, maxConcurrent: 2, nowMs: sampleNowMs });
  return {
    plan,
    takenAtMs: sampleNowMs,
    tookMs: 5,
    heatRequests: 5,
    heatAgeMs: 10,
    warnings: [],
    statusWrites: 0,
    launched: 0,
    ...more,
  };
}

let latest: TieringReport | undefined;
let server: ReturnType<typeof Bun.serve>;
beforeEach(() => {
  latest = report();
  const tiering = {
    get latest() {
      return latest;
    },
  };
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: appOf("test", [planRoute(tiering)], () => undefined).fetch,
  });
});
afterEach(() => server.stop(true));

const ask = (...argv: string[]) =>
  run(["plan", ...argv, "--brain", `http://127.0.0.1:${server.port}`], { clock: new FakeClock(sampleNowMs + 10_000) });

test("a brain that has no policies says so, not that it lacks a route", async () => {
  using elsewhere = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: appOf("test", [], () => undefined).fetch });
  const at = ["--brain", `http://127.0.0.1:${elsewhere.port}`];
  for (const argv of [["plan"], ["migration", "list"], ["migration", "describe", "m"], ["migration", "abort", "m"]]) {
    const { code, stderr } = await run([...argv, ...at]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("--store kubernetes knows StoragePolicies")]);
  }
});

describe("plan", () => {
  test("says of each volume its tier, heat and target, what would move where, and why", async () => {
    expect((await ask()).stdout).toBe(
      `POLICY   STATE   WATCHED  HOT  WARM  COLD  MIXED  UNKNOWN  MOVING
default  Active        4    2     0     2      0        1       0

VOLUME      CLAIM                     TIER     IOPS  TARGET  ACTION  WHERE         WHY
pvc-busy    default/claim-pvc-busy    cold     9000  hot     move    cold-1→hot-2  9000 IOPS, hot is at least 5000
pvc-idle    default/claim-pvc-idle    hot       3.1  cold    wait    hot-1→cold-2  3.14 IOPS, cold is at most 500; waits for its turn: at most 1 of this policy at once
pvc-rested  default/claim-pvc-rested  cold     8000  hot     wait    -             8000 IOPS, hot is at least 5000; it was moved at 2027-01-15T07:00:00.000Z; cooling down for another 23h
pvc-quiet   default/claim-pvc-quiet   hot   unknown  -       stay    -             heat unknown (Stale): the latest sample came 900 s ago
`,
    );
  });

  test("can be about one volume, by its name, uuid or claim, with all that is known in JSON", async () => {
    for (const name of ["pvc-busy", "uuid-pvc-busy", "default/claim-pvc-busy"]) {
      const { entries } = (await ask("--volume", name, "--json")).json<{ entries: unknown[] }>();
      expect(entries).toMatchObject([
        {
          volume: "pvc-busy",
          heat: { known: true, iops: 9000, samples: 120 },
          moves: [{ toPool: "hot-2", toNode: "node-2" }],
        },
      ]);
    }
  });

  test("can leave out what stays, and says when it lists less than there is, is old, or lacks something", async () => {
    expect((await ask("--moves")).stdout).not.toContain("pvc-quiet");
    expect((await ask("--moves", "--volume", "pvc-quiet")).stdout).toEndWith("\nall volumes stay where they are\n");
    latest = report({ takenAtMs: sampleNowMs - 600_000, warnings: ["Mayastor can't be reached"] });
    const { stderr, code } = await ask("--limit", "2");
    expect(code).toBe(0);
    expect(stderr).toContain("2 of 4 volumes are listed");
    expect(stderr).toContain("the plan is 10m10s old");
    expect(stderr).toContain("warning: Mayastor can't be reached");
  });

  test("of what is not there says so, and what there is", async () => {
    expect(await ask("--policy", "other")).toMatchObject({ code: 1, stdout: "" });
    expect((await ask("--policy", "other")).stderr).toContain("there is no StoragePolicy other; there are: default");
    expect((await ask("--volume", "pvc-none")).stderr).toContain("no policy watches a volume pvc-none");
    latest = undefined;
    expect((await ask()).stderr).toContain("there is no plan yet");
  });
});
