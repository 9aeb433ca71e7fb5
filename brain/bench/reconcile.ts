/**
 * One look at all volumes with a real API server, a real Prometheus with an hour of history and a simulated Mayastor; heat is asked for
 * anew each time, which in service is done at most every 30 s. Also the questions to Prometheus.
 */
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { startControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { prometheusMissing } from "../testing/prometheus.ts";
import { tieringCluster } from "../testing/tiering-cluster.ts";

export interface BrainBenchLine {
  bench: string;
  ours: number;
  unit: string;
}

export interface BrainBench {
  name: string;
  /** Every line it prints. */
  lines: readonly string[];
  /** Why it can't be run here; undefined if it can. */
  missing(): Promise<string | undefined>;
  run(wanted: (line: string) => boolean): Promise<BrainBenchLine[]>;
}

const rounds = 9;
const selector = (tier: string) => ({ matchLabels: { tier } });

/** A third is cold, a third between the watermarks, a third hot, each with figures of its own. */
function iopsOf(n: number): number {
  return n % 3 === 0 ? (n % 400) + 1 : n % 3 === 1 ? 600 + (n % 1_000) : 5_100 + (n % 5_000);
}

function reconcileBench(volumes: number): BrainBench {
  const name = `brain.reconcile.${volumes}`;
  const more = volumes === 1_000 ? ["brain.promql-requests-per-reconcile"] : [];
  return {
    name,
    lines: [name, `${name}.p95`, ...more],
    missing: async () => controlPlaneMissing() ?? prometheusMissing(),
    run: () => measure(name, volumes),
  };
}

async function measure(name: string, volumes: number): Promise<BrainBenchLine[]> {
  await using plane = await startControlPlane();
  const options = { volumes, iops: iopsOf, scrapeIntervalMs: 60_000, heatTtlMs: 0 };
  await using cluster = await tieringCluster(plane, options);
  const pools = {
    hotPoolSelector: selector("hot"),
    warmPoolSelector: selector("warm"),
    coldPoolSelector: selector("cold"),
  };
  await cluster.applyPolicy("bench", pools);
  const tooks: number[] = [];
  let requests = 0;
  for (let round = 0; round <= rounds; round++) {
    const startMs = systemClock.monotonicMs();
    const report = await cluster.tiering.reconcile();
    // The first writes the status; those that follow are the steady state.
    if (round > 0) tooks.push((systemClock.monotonicMs() - startMs) / 1000);
    requests = report.heatRequests;
    check(volumes, report.plan?.policies[0]);
  }
  tooks.sort((a, b) => a - b);
  const at = (share: number): number =>
    tooks[Math.min(tooks.length - 1, Math.floor(share * tooks.length))] ?? Number.NaN;
  const lines: BrainBenchLine[] = [
    { bench: name, ours: at(0.5), unit: "s" },
    { bench: `${name}.p95`, ours: at(0.95), unit: "s" },
  ];
  if (volumes === 1_000) {
    lines.push({ bench: "brain.promql-requests-per-reconcile", ours: requests, unit: "requests" });
  }
  return lines;
}

/** A figure for work that was not done is none. */
function check(volumes: number, plan: { watched: number; unknown: number } | undefined): void {
  if (plan?.watched === volumes && plan.unknown === 0) return;
  throw new Error(`${plan?.watched} volumes were watched and ${plan?.unknown} unknown, ${volumes} and 0 were to be`);
}

export const brainBenches: readonly BrainBench[] = [100, 1_000, 10_000].map(reconcileBench);
