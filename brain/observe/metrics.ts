/** Every metric of the brain, declared once; figures are taken when they are scraped. */
import { createRegistry } from "@couchestor/common/observe/registry.ts";
import { type AddGauge, type Sample, sampledGauges, sampleOf } from "@couchestor/common/observe/sampled-gauge.ts";
import { Hono } from "hono";
import type { Registry } from "prom-client";
import type { Brain } from "../brain.ts";
import { addDeviceMetrics } from "../devices/metrics.ts";
import { liveStates } from "../volumes/views.ts";

/** A registry that reads the brain at every scrape. */
export function brainMetrics(brain: Brain, registry: Registry = createRegistry({ role: "brain" })): Registry {
  const gauge = sampledGauges([registry]);
  addVolumeMetrics(brain, gauge);
  addNodeMetrics(brain, gauge);
  addCareMetrics(brain, gauge);
  addDeviceMetrics(brain, gauge);
  return registry;
}

function addVolumeMetrics({ services }: Brain, gauge: AddGauge): void {
  gauge("storage_operator_ec_stripes_total", "Runs of stripes by state.", ["state"], () => {
    const counts = new Map<string, number>([
      ["Unwritten", 0],
      ["Healthy", 0],
      ["Degraded", 0],
      ["Held", 0],
      ["Unrecoverable", 0],
    ]);
    const stateOf = liveStates(services);
    for (const run of services.catalogue.runs.all()) {
      const state = stateOf(run);
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    return samples("state", counts);
  });
  gauge(
    "couchestor_runs_held",
    "Runs that are not used because somebody changed them, or their volume, by hand.",
    [],
    () => {
      let held = 0;
      for (const { volumeUuid, name } of services.catalogue.runs.all())
        if (services.catalogue.whyHeld(volumeUuid, name) !== undefined) held++;
      return [{ value: held }];
    },
  );
  gauge("couchestor_volumes", "Volumes by phase.", ["phase"], () => {
    const counts = new Map<string, number>();
    for (const volume of services.catalogue.volumes()) {
      const phase = volume.status?.phase ?? "Unknown";
      counts.set(phase, (counts.get(phase) ?? 0) + 1);
    }
    return samples("phase", counts);
  });
}

function addNodeMetrics({ services }: Brain, gauge: AddGauge): void {
  gauge("couchestor_nodes", "Storage nodes by state.", ["state"], () => {
    const counts = new Map<string, number>([
      ["Online", 0],
      ["Offline", 0],
      ["Unheard", 0],
    ]);
    for (const node of services.inventory.nodes()) counts.set(node.state, (counts.get(node.state) ?? 0) + 1);
    return samples("state", counts);
  });
  gauge("couchestor_acts", "Acts under way by kind.", ["kind"], () => {
    const counts = new Map<string, number>([
      ["encode", 0],
      ["rebuild", 0],
      ["scrub", 0],
    ]);
    for (const { order } of services.acts.active()) counts.set(order.kind, (counts.get(order.kind) ?? 0) + 1);
    return samples("kind", counts);
  });
  gauge(
    "couchestor_chunk_deletions",
    "Deletions ordered: columns queued, chunks deleted, columns left to garbage collection.",
    ["state"],
    () => {
      const { queued, deleted, forgotten } = services.orders.counts;
      return samples(
        "state",
        new Map([
          ["queued", queued],
          ["deleted", deleted],
          ["forgotten", forgotten],
        ]),
      );
    },
  );
}

function addCareMetrics({ repair, scrubs, sweeper, tombstones }: Brain, gauge: AddGauge): void {
  gauge("couchestor_repair_runs", "Runs in repair by state.", ["state"], () => {
    const { queued, running, blocked } = repair.counts();
    return samples(
      "state",
      new Map([
        ["queued", queued],
        ["running", running],
        ["blocked", blocked],
      ]),
    );
  });
  gauge("couchestor_repair_stripes", "Stripes of the present wave of repairs.", ["state"], () => {
    const { stripesDone, stripesTotal } = repair.status();
    return samples(
      "state",
      new Map([
        ["done", stripesDone],
        ["total", stripesTotal],
      ]),
    );
  });
  gauge("couchestor_repair_bytes_per_second", "Bytes read and written by repair, a second.", [], () => [
    { value: repair.status().bytesPerSecond },
  ]);
  gauge("couchestor_repair_eta_seconds", "Seconds until the present wave is done; absent when not known.", [], () =>
    sampleOf(repair.status().etaSeconds),
  );
  gauge("couchestor_repair_spare_runs", "Runs by how many further losses they bear.", ["spare"], () =>
    samples("spare", new Map(Object.entries(repair.status().spare))),
  );
  gauge("couchestor_scrubs_running", "Scrubs under way.", [], () => [{ value: scrubs.runningCount }]);
  gauge("couchestor_scrub_work", "Scrubbed since the start.", ["what"], () =>
    samples("what", new Map(Object.entries(scrubs.totals))),
  );
  gauge("couchestor_garbage_chunks", "Chunks that the last sweeps found, by what became of them.", ["state"], () => {
    const sum = { listed: 0, deleted: 0, foreign: 0, left: 0, unproven: 0 };
    for (const report of sweeper.reports().values()) {
      sum.listed += report.chunks;
      sum.deleted += report.deleted;
      sum.foreign += report.foreign;
      sum.left += report.left;
      sum.unproven += report.unproven;
    }
    return samples("state", new Map(Object.entries(sum)));
  });
  gauge("couchestor_volume_tombstones", "Deleted volumes of which pools that are away may hold chunks.", [], () => [
    { value: tombstones.count },
  ]);
}

function samples(label: string, counts: ReadonlyMap<string, number>): Sample[] {
  return [...counts].map(([key, value]) => ({ labels: { [label]: key }, value }));
}

export function metricsApp(registry: Registry): Hono {
  const app = new Hono();
  app.get("/metrics", async (c) => c.text(await registry.metrics(), 200, { "content-type": registry.contentType }));
  return app;
}
