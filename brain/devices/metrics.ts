/** What Prometheus learns of failing devices from the brain; each device's own figures come from its agent. */
import type { AddGauge } from "@couchestor/common/observe/sampled-gauge.ts";
import type { Brain } from "../brain.ts";
import type { EvacuationPhase } from "./device-conditions.ts";

const phases: readonly EvacuationPhase[] = ["emptying", "held back", "paused", "emptied", "blocked"];

/** Adds the gauges; they are read at each scrape. */
export function addDeviceMetrics({ evacuation }: Pick<Brain, "evacuation">, gauge: AddGauge): void {
  gauge("couchestor_failing_pools", "Pools on failing devices, by how far they are emptied.", ["phase"], () => {
    const all = evacuation.evacuations();
    return phases.map((phase) => ({
      labels: { phase },
      value: all.filter((one) => one.phase === phase).length,
    }));
  });
  gauge("couchestor_evacuation_runs", "Runs with shards on failing devices, by state.", ["state"], () => {
    return Object.entries(evacuation.counts()).map(([state, value]) => ({ labels: { state }, value }));
  });
  gauge("couchestor_evacuation_runs_moved", "Runs moved off failing devices since the brain started.", [], () => [
    { value: evacuation.runsMoved },
  ]);
  gauge(
    "couchestor_evacuation_held_back",
    "1 while nothing is moved off failing devices because too many fail at once.",
    [],
    () => [{ value: evacuation.heldBack === undefined ? 0 : 1 }],
  );
}
