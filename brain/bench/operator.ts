/**
 * The brain in Kubernetes as a process of its own: start to ready, memory with so many volumes or ECStripes, what it writes at rest, and
 * how long nobody leads when the leader goes. With a real API server and a real Prometheus, and a simulated Mayastor.
 */
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { compiled } from "@couchestor/common/runtime/version.ts";
import { createStripes } from "../operator/testing/many-stripes.ts";
import {
  BrainProcess,
  leaseHolder,
  operatorPlane,
  serviceAccountFolder,
} from "../operator/testing/operator-cluster.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { until } from "../testing/processes.ts";
import { prometheusMissing } from "../testing/prometheus.ts";
import { type TieringCluster, tieringCluster } from "../testing/tiering-cluster.ts";
import { type BrainBench, type BrainBenchLine, brainBenches } from "./reconcile.ts";

const mib = 1024 * 1024;
const restMs = 60_000;
const settleMs = 10_000;
/** `COUCHESTOR_BENCH_STRIPES=100000` takes ten minutes and an API server of 8 GB. */
const stripesMeasured = Number(process.env["COUCHESTOR_BENCH_STRIPES"] ?? 20_000);
const selector = (tier: string) => ({ matchLabels: { tier } });

interface Stage {
  plane: Awaited<ReturnType<typeof operatorPlane>>;
  cluster: TieringCluster;
  start(name: string): Promise<BrainProcess>;
}

/** Runs `work` with a cluster of so many volumes under one policy, and ends all of it afterwards. */
async function onStage<T>(volumes: number, work: (stage: Stage) => Promise<T>): Promise<T> {
  await using plane = await operatorPlane();
  const iops = (n: number): number => (n % 3 === 0 ? 100 : n % 3 === 1 ? 1_000 : 6_000);
  await using cluster = await tieringCluster(plane, { volumes, iops, scrapeIntervalMs: 60_000 });
  await cluster.applyPolicy("bench", {
    hotPoolSelector: selector("hot"),
    warmPoolSelector: selector("warm"),
    coldPoolSelector: selector("cold"),
  });
  const credentials = await serviceAccountFolder(plane);
  await using brains = new AsyncDisposableStack();
  const start = async (name: string) => {
    const options = { plane, credentials, prometheus: cluster.prometheus, mayastor: cluster.sim, name };
    return brains.use(await BrainProcess.start({ ...options, flags: ["--reconcile-every=30s", "--log-level=info"] }));
  };
  return await work({ plane, cluster, start });
}

/** A brain that leads, has looked at all volumes, and has had time to come to rest. */
async function atRest({ cluster, start }: Stage, volumes: number): Promise<BrainProcess> {
  const brain = await start("brain-1");
  await brain.ready(120_000);
  await until(
    "all volumes are watched",
    async () => (await cluster.policy("bench")).status?.watchedVolumes === volumes,
    {
      timeoutMs: 120_000,
    },
  );
  await systemClock.sleep(settleMs);
  return brain;
}

async function residentMib(brain: BrainProcess): Promise<number> {
  const status = await Bun.file(`/proc/${brain.process.pid}/status`).text();
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(status);
  if (found === null) throw new Error(`the process ${brain.process.pid} has no VmRSS`);
  return (Number(found[1]) * 1024) / mib;
}

function rssBench(volumes: number): BrainBench {
  const bench = `brain.rss.${volumes}`;
  return operatorBench([bench], () =>
    onStage(volumes, async (stage) => [{ bench, ours: await residentMib(await atRest(stage, volumes)), unit: "MiB" }]),
  );
}

function stripesBench(stripes: number): BrainBench {
  const bench = `brain.rss.stripes-${stripes}`;
  return operatorBench([bench], () =>
    onStage(3, async (stage) => {
      await createStripes(stage.plane, stripes);
      const brain = await atRest(stage, 3);
      const counted = await stripesCounted(brain);
      if (counted !== stripes) throw new Error(`the brain counts ${counted} ECStripes, ${stripes} were made`);
      return [{ bench, ours: await residentMib(brain), unit: "MiB" }];
    }),
  );
}

/** In whatever state: no agent of this cluster has ever been heard of, which the brain begins to note. */
async function stripesCounted(brain: BrainProcess): Promise<number> {
  const { metricsUrl } = await brain.endpoint();
  const text = await (await fetch(`${metricsUrl}/metrics`)).text();
  const counts = text.matchAll(/^storage_operator_ec_stripes_total\{state="\w+"\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Writes of every kind that the brain sends in a minute in which nothing happens; the lease's renewals among them. */
async function writes(brain: BrainProcess): Promise<number> {
  const { metricsUrl } = await brain.endpoint();
  const text = await (await fetch(`${metricsUrl}/metrics`)).text();
  const counts = text.matchAll(/^couchestor_kube_request_seconds_count\{method="(POST|PUT|PATCH|DELETE)".*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, , count]) => sum + Number(count), 0);
}

async function rest(): Promise<BrainBenchLine[]> {
  return await onStage(1_000, async (stage) => {
    const brain = await atRest(stage, 1_000);
    const before = await writes(brain);
    await systemClock.sleep(restMs);
    const perMinute = ((await writes(brain)) - before) / (restMs / 60_000);
    return [{ bench: "brain.api-writes-per-minute", ours: perMinute, unit: "writes" }];
  });
}

async function takeOver(): Promise<BrainBenchLine[]> {
  return await onStage(3, async ({ plane, start }) => {
    const startMs = systemClock.monotonicMs();
    const first = await start("brain-1");
    await first.ready();
    const readyMs = systemClock.monotonicMs() - startMs;
    const second = await start("brain-2");
    await second.ready();
    const released = await tookOver(plane, "brain-2", () => first.process.signal("SIGTERM"));
    const third = await start("brain-3");
    await third.ready();
    const lost = await tookOver(plane, "brain-3", () => second.process.signal("SIGKILL"));
    return [
      { bench: "brain.start-to-ready", ours: readyMs / 1000, unit: "s" },
      { bench: "brain.take-over.released", ours: released / 1000, unit: "s" },
      { bench: "brain.take-over.killed", ours: lost / 1000, unit: "s" },
    ];
  });
}

/** Milliseconds from `act` until the brain of that name holds the lease. */
async function tookOver(plane: Stage["plane"], name: string, act: () => void): Promise<number> {
  const startMs = systemClock.monotonicMs();
  act();
  await until(`${name} leads`, async () => (await leaseHolder(plane)).startsWith(`${name}_`), {
    timeoutMs: 60_000,
    everyMs: 50,
  });
  return systemClock.monotonicMs() - startMs;
}

function operatorBench(lines: readonly string[], run: () => Promise<BrainBenchLine[]>): BrainBench {
  const [name = ""] = lines;
  return { name, lines, run, missing };
}

async function missing(): Promise<string | undefined> {
  if (compiled) return "it runs from a checkout only, whose tests it borrows the cluster from";
  return controlPlaneMissing() ?? prometheusMissing();
}

/** Every benchmark of the brain, in the form of `couchestor bench`. */
export const operatorBenches: readonly BrainBench[] = [
  ...brainBenches.map((bench) => ({ ...bench, missing })),
  rssBench(1_000),
  rssBench(10_000),
  stripesBench(stripesMeasured),
  operatorBench(["brain.api-writes-per-minute"], rest),
  operatorBench(["brain.start-to-ready", "brain.take-over.released", "brain.take-over.killed"], takeOver),
];
