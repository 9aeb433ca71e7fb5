/**
 * The brain in Kubernetes as a process of its own: start to ready, memory with so many volumes or ECStripes, what it writes at rest, and
 * how long nobody leads when the leader goes. With a real API server and a real Prometheus, and a simulated Mayastor.
 */
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { compiled } from "@couchestor/common/runtime/version.ts";
import { brainNamespace, brainServiceAccount } from "../installation/needs.ts";
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
import { migrationBenches } from "./migrations.ts";
import { type BrainBench, type BrainBenchLine, brainBenches } from "./reconcile.ts";

const mib = 1024 * 1024;
const restMs = 60_000;
const settleMs = 10_000;
const restVolumes = 1_000;
/** With very many ECStripes most of it is the API server's. */
const readyMsMax = 600_000;
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
  // The record of writes is kept of all of them, for one figure: it costs the API server a little and the brain nothing.
  await using plane = await operatorPlane({ audit: volumes === restVolumes });
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
  await brain.ready(readyMsMax);
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

/** What the process has in memory now, and the most it ever had: a container is killed for the peak. */
async function memory(brain: BrainProcess, bench: string): Promise<BrainBenchLine[]> {
  const status = await Bun.file(`/proc/${brain.process.pid}/status`).text();
  const of = (field: string): number => {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status);
    if (found === null) throw new Error(`the process ${brain.process.pid} has no ${field}`);
    return (Number(found[1]) * 1024) / mib;
  };
  return [
    { bench, ours: of("VmRSS"), unit: "MiB" },
    { bench: `${bench}.peak`, ours: of("VmHWM"), unit: "MiB" },
  ];
}

function rssBench(volumes: number): BrainBench {
  const bench = `brain.rss.${volumes}`;
  return operatorBench([bench, `${bench}.peak`], () =>
    onStage(volumes, async (stage) => await memory(await atRest(stage, volumes), bench)),
  );
}

function stripesBench(stripes: number): BrainBench {
  const bench = `brain.rss.stripes-${stripes}`;
  const ready = `${bench}.ready`;
  return operatorBench([bench, `${bench}.peak`, ready], () =>
    onStage(3, async (stage) => {
      await createStripes(stage.plane, stripes);
      const startMs = systemClock.monotonicMs();
      const brain = await atRest(stage, 3);
      const readySeconds = (systemClock.monotonicMs() - settleMs - startMs) / 1000;
      const counted = await stripesCounted(brain);
      if (counted !== stripes) throw new Error(`the brain counts ${counted} ECStripes, ${stripes} were made`);
      return [...(await memory(brain, bench)), { bench: ready, ours: readySeconds, unit: "s" }];
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

/** What the brain's account writes in a minute in which nothing happens, by the API server's own record; by resource and verb too. */
async function rest(): Promise<BrainBenchLine[]> {
  return await onStage(restVolumes, async (stage) => {
    await atRest(stage, restVolumes);
    const account = `system:serviceaccount:${brainNamespace}:${brainServiceAccount}`;
    const writes = async () => (await stage.plane.writes()).filter(({ user }) => user === account);
    const before = (await writes()).length;
    await systemClock.sleep(restMs);
    const came = (await writes()).slice(before);
    if (came.length === 0) throw new Error("not even the lease was renewed: nothing was recorded");
    const bench = "brain.writes-at-rest";
    const kinds = Map.groupBy(came, ({ resource, verb }) => `${resource.replace("/", ".")}.${verb}`);
    const unit = "writes/min";
    const perMinute = (count: number): number => count / (restMs / 60_000);
    return [
      { bench, ours: perMinute(came.length), unit },
      ...[...kinds].map(([kind, some]) => ({ bench: `${bench}.${kind}`, ours: perMinute(some.length), unit })),
    ];
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
      { bench: "brain.ready", ours: readyMs / 1000, unit: "s" },
      { bench: "brain.takeover.released", ours: released / 1000, unit: "s" },
      { bench: "brain.takeover.killed", ours: lost / 1000, unit: "s" },
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

const checkoutMissing = compiled ? "it runs from a checkout only, whose tests it borrows the cluster from" : undefined;

async function missing(): Promise<string | undefined> {
  if (checkoutMissing !== undefined) return checkoutMissing;
  return controlPlaneMissing() ?? prometheusMissing();
}

/** Every benchmark of the brain, in the form of `couchestor bench`. */
export const operatorBenches: readonly BrainBench[] = [
  ...brainBenches.map((bench) => ({ ...bench, missing })),
  ...migrationBenches.map((bench) => ({ ...bench, missing: async () => checkoutMissing })),
  rssBench(1_000),
  rssBench(10_000),
  stripesBench(stripesMeasured),
  operatorBench(["brain.writes-at-rest", "brain.writes-at-rest.leases.update"], rest),
  operatorBench(["brain.ready", "brain.takeover.released", "brain.takeover.killed"], takeOver),
];
