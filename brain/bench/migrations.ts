/**
 * Migrations of Mayastor volumes on virtual time, against the simulated control plane with the cache that Mayastor has (30 s) and rebuilds of
 * 200 MB/s: the calls that one takes, what it takes beyond the rebuild, and how long 50 volumes take that cross a threshold at once.
 */
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { MayastorClient } from "../mayastor/client.ts";
import { migrationController } from "../migration/controller.ts";
import { Migrations } from "../migration/migrations.ts";
import { noMetrics } from "../migration/ports.ts";
import { Lab } from "../migration/testing/lab.ts";
import { silentLog } from "../ports.ts";
import type { Source } from "../runtime/controller.ts";
import type { BrainBench, BrainBenchLine } from "./reconcile.ts";

const gib = 1024 ** 3;
const rebuildBytesPerSecond = 200e6;
const crowd = 50;
const nodes = [1, 2, 3, 4, 5, 6];
/** Of a thin volume's size, in the simulator. */
const allocatedShare = 0.6;

function makeLab(): Lab {
  const control = { rebuildBytesPerSecond, cachePeriodMs: 30_000 };
  return new Lab({ control }).pools("hot", nodes).pools("cold", nodes);
}

/** The mover as a brain runs it: behind its controller, whose queue wakes who waits. Returns how to hand it a Migration. */
function startMover({ world }: Lab): { begin: (name: string) => void; stop: () => Promise<void> } {
  const { clock, store } = world;
  const prng = seededPrng(1);
  const migrations = new Migrations({
    store,
    clock,
    prng,
    mayastor: new MayastorClient({ transport: world.plane.transport() }),
    log: silentLog,
    leadership: { assertLeader: () => undefined },
    ecHealth: () => Promise.resolve(undefined),
    tell: () => undefined,
    metrics: noMetrics,
  });
  const source: Source<{ metadata: { name: string } }> = {
    whenSynced: Promise.resolve(),
    values: () => [],
    addHandler: () => undefined,
  };
  const controller = migrationController({ clock, prng, logger: silentLogger() }, migrations, source, {
    workers: crowd,
  });
  controller.start();
  return { begin: (name) => controller.enqueue(name), stop: () => controller.stop() };
}

async function one(): Promise<BrainBenchLine[]> {
  const lab = makeLab();
  const volume = lab.volume(["hot-1"], { sizeBytes: 10 * gib });
  const mover = startMover(lab);
  await lab.world.migrate("one", lab.spec(volume, "hot", "cold"));
  mover.begin("one");
  const seconds = await untilEnded(lab);
  await mover.stop();
  const { calls, writes } = lab.world.plane;
  const rebuildSeconds = (volume.sizeBytes * allocatedShare) / rebuildBytesPerSecond;
  return [
    { bench: "brain.migration.calls", ours: calls, unit: "calls" },
    { bench: "brain.migration.changing-calls", ours: writes, unit: "calls" },
    { bench: "brain.migration.beyond-rebuild", ours: seconds - rebuildSeconds, unit: "s" },
  ];
}

async function many(atOnce: number): Promise<BrainBenchLine[]> {
  const lab = makeLab();
  const pool = (n: number): string => `hot-${(n % nodes.length) + 1}`;
  const volumes = Array.from({ length: crowd }, (_, i) => lab.volume([pool(i), pool(i + 1)], { sizeBytes: 10 * gib }));
  const mover = startMover(lab);
  const waiting = volumes.entries();
  const fill = async (): Promise<void> => {
    const under = lab.world.names.filter((name) => !lab.world.hasEnded(name)).length;
    for (let n = under; n < atOnce; n++) {
      const next = waiting.next();
      if (next.done) return;
      const [i, volume] = next.value;
      await lab.world.migrate(`move-${i}`, lab.spec(volume, "hot", "cold", { timeout: "24h" }));
      mover.begin(`move-${i}`);
    }
  };
  const seconds = await untilEnded(lab, fill);
  await mover.stop();
  return [{ bench: `brain.migration.${crowd}-volumes.${atOnce}-at-once`, ours: seconds / 60, unit: "min" }];
}

/** Virtual seconds until all have ended. A figure for work that was not done is none. */
async function untilEnded(lab: Lab, fill: () => Promise<void> = () => Promise.resolve()): Promise<number> {
  const { world } = lab;
  const startMs = world.clock.monotonicMs();
  await fill();
  while (world.names.some((name) => !world.hasEnded(name))) {
    await world.clock.pass(1_000);
    world.plane.catchUp();
    await fill();
    if (world.clock.monotonicMs() - startMs > 24 * 3_600_000)
      throw new Error("not all migrations have ended within a day");
  }
  const failed = world.names.filter((name) => world.migration(name)?.status?.outcome?.result !== "Succeeded");
  if (failed.length > 0 || lab.violations.length > 0)
    throw new Error(`${failed.length} migrations failed, ${lab.violations.length} invariants were broken`);
  return (world.clock.monotonicMs() - startMs) / 1_000;
}

const bench = (name: string, lines: readonly string[], run: () => Promise<BrainBenchLine[]>): BrainBench => ({
  name,
  lines,
  missing: () => Promise.resolve(undefined),
  run,
});

export const migrationBenches: readonly BrainBench[] = [
  bench(
    "brain.migration.one",
    ["brain.migration.calls", "brain.migration.changing-calls", "brain.migration.beyond-rebuild"],
    one,
  ),
  ...[2, 10].map((atOnce) => {
    const line = `brain.migration.${crowd}-volumes.${atOnce}-at-once`;
    return bench(line, [line], () => many(atOnce));
  }),
];
