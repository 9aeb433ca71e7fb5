import { describe, expect, test } from "bun:test";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { sharedControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { until } from "../testing/processes.ts";
import { prometheusMissing } from "../testing/prometheus.ts";
import { tieringCluster, volumeUuid } from "../testing/tiering-cluster.ts";
import { tieringController } from "./controller.ts";

const missing = controlPlaneMissing() ?? prometheusMissing();
if (missing) console.log(`skipped: tiering at a real API server and Prometheus: ${missing}`);

const selector = (tier: string) => ({ matchLabels: { tier } });

describe.skipIf(missing !== undefined)("tiering at a real API server and Prometheus", () => {
  test("an applied policy counts real volumes and shows what would move where; then nothing is written until something changes", async () => {
    const plane = await sharedControlPlane();
    // 1 … 4 are cold, 5 … 8 between the watermarks, 9 … 12 hot; all are on cold pools.
    const iops = (n: number) => (n <= 4 ? 10 : n <= 8 ? 1_000 : 6_000 + n);
    await using cluster = await tieringCluster(plane, { volumes: 12, iops, heatTtlMs: 0 });
    const deps = { clock: systemClock, prng: systemPrng, logger: silentLogger() };
    const controller = tieringController(deps, cluster.tiering, cluster, { everyMs: 100 });
    controller.start();
    try {
      const pools = {
        hotPoolSelector: selector("hot"),
        warmPoolSelector: selector("warm"),
        coldPoolSelector: selector("cold"),
      };
      await cluster.applyPolicy("default", { ...pools, dryRun: true });
      const status = await until("the status", async () => {
        const found = (await cluster.policy("default")).status;
        return found?.watchedVolumes === 12 && found;
      });
      expect(status).toMatchObject({
        phase: "Active",
        coldVolumes: 12,
        hotVolumes: 0,
        unknownVolumes: 0,
        mixedVolumes: 0,
      });
      expect(status.conditions?.filter(({ status }) => status !== "True").map(({ type }) => type)).toEqual([
        "Conflict",
        "MigrationsAllowed",
      ]);
      expect(status.plannedMoves?.map(({ volumeName, toTier }) => `${volumeName} ${toTier}`)).toEqual(
        [12, 11, 10, 9].map((n) => `pvc-${volumeUuid(n)} hot`),
      );
      expect(status.plannedMoves?.[0]?.iops).toBeWithin(5_950, 6_080);

      // A few rounds at rest: reads of Prometheus and Mayastor, and no word to the API server.
      // The status may be read here before its writer has heard that it is written: the next round begins after that.
      const seen = cluster.heat.requests;
      await until("the next round", () => cluster.heat.requests > seen);
      const before = cluster.attempts.length;
      const asked = cluster.heat.requests;
      await until("five more rounds", () => cluster.heat.requests >= asked + 25);
      expect(cluster.attempts.slice(before)).toEqual([]);

      // A volume's label takes it out; Prometheus goes away and comes back.
      await cluster.applyPolicy("default", {
        ...pools,
        dryRun: true,
        volumeSelector: { matchLabels: { number: "12" } },
      });
      await until("one volume is left", async () => (await cluster.policy("default")).status?.watchedVolumes === 1);
      await cluster.prometheus.kill();
      const heatAvailable = async () =>
        (await cluster.policy("default")).status?.conditions?.find(({ type }) => type === "HeatAvailable")?.status;
      await until("heat is unknown", async () => (await heatAvailable()) === "False");
      expect((await cluster.policy("default")).status).toMatchObject({ unknownVolumes: 1, plannedMoves: [] });
      await cluster.prometheus.start();
      await until("heat is known again", async () => (await heatAvailable()) === "True");
    } finally {
      await controller.stop();
    }
  }, 300_000);
});
