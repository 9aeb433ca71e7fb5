import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { Exporter, historyText } from "./exporter.ts";
import { until } from "./processes.ts";
import { prometheusMissing, startPrometheus } from "./prometheus.ts";

const missing = prometheusMissing();
if (missing) console.log(`skipped: Prometheus fixture: ${missing}`);

describe.skipIf(missing !== undefined)("Prometheus fixture", () => {
  test("scrapes the exporter's gauges, has an hour of history at once, keeps it over a kill, and leaves nothing behind", async () => {
    await using exporter = new Exporter();
    exporter.set("pvc-live", { volume_num_read_ops: 5, volume_num_write_ops: 7 });
    const history = historyText([
      {
        pvName: "pvc-past",
        endMs: systemClock.wallMs(),
        lengthMs: 3_600_000,
        scrapeIntervalMs: 30_000,
        readsPerSecond: () => 100,
        writesPerSecond: () => 20,
      },
    ]);
    const server = await startPrometheus({ targets: [exporter.target], history });
    try {
      const value = async (promql: string) => (await server.query(promql))[0]?.value[1];
      expect(Number(await value('rate(volume_num_read_ops{pv_name="pvc-past"}[50m])'))).toBeCloseTo(100, 0);
      await until("a scrape", async () => (await value('volume_num_write_ops{pv_name="pvc-live"}')) === "7");
      await server.kill();
      await server.start();
      expect(Number(await value('count_over_time(volume_num_write_ops{pv_name="pvc-past"}[2h])'))).toBe(121);
    } finally {
      await server.stop();
    }
    expect(existsSync(server.dir)).toBe(false);
  }, 180_000);
});
