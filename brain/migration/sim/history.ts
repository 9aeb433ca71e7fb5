/** One history, from its seed to its verdict. */
import type { MigrationOutcome } from "@couchestor/common/crd/migration.ts";
import { calmDown, disturb } from "./disturb.ts";
import { drawScenario, type Flavour, type Scenario } from "./scenario.ts";
import type { MakeDriver } from "./sim-brain.ts";
import { stage } from "./staging.ts";
import { World } from "./world.ts";

export interface HistoryResult {
  seed: number;
  faults: number;
  violations: string[];
  /** Calls at the control plane, and those of them that change something. */
  calls: number;
  writes: number;
  /** Changes of truth that the invariant was held to. */
  transitions: number;
  /** By name; undefined if the object is gone. */
  outcomes: Record<string, MigrationOutcome | undefined>;
  virtualMs: number;
}

/** Trouble stops here, and everything broken is mended. */
const calmAfterMs = 45 * 60_000;
/** By then each migration must have ended: its own time, the time for taking back, and some more. */
const endAfterMs = 4 * 60 * 60_000;
/** What is still on its way arrives. */
const quietMs = 180_000;

export interface HistoryOptions {
  seed: number;
  makeDriver: MakeDriver;
  /** Of this flavour; of the one that the seed draws if undefined. */
  flavour?: Flavour | undefined;
  trace?: ((line: string) => void) | undefined;
}

/** Runs the history of a seed; the same seed gives the same one. */
export async function runHistory({ seed, makeDriver, flavour, trace }: HistoryOptions): Promise<HistoryResult> {
  const scenario = drawScenario(seed, flavour);
  const world = new World({ seed, settings: scenario.settings, allow: scenario.allow, makeDriver, trace });
  stage(world, scenario);
  const volumes = [...world.cluster.volumes.values()];
  for (const { atMs, trouble, volume } of scenario.events)
    world.clock.after(atMs, () => disturb(world, trouble, volumes[volume]));
  world.kills = scenario.killsAfterEffects.map((effect) => ({ effect, after: world.prng.below(2) === 0 }));
  world.startBrain();
  const result = await finish(world, seed);
  if (scenario.quiet) mustSucceed(result, scenario);
  return result;
}

/** Lets a staged world go on to its end, and judges it. */
export async function finish(world: World, seed: number): Promise<HistoryResult> {
  await world.run(calmAfterMs);
  calmDown(world);
  await world.run(endAfterMs);
  await world.clock.pass(quietMs);
  world.plane.catchUp();
  world.watch.judge();
  return {
    seed,
    faults: world.faults,
    violations: [...world.zeroLoss.violations, ...world.watch.violations],
    calls: world.plane.calls,
    writes: world.plane.writes,
    transitions: world.zeroLoss.transitions,
    outcomes: Object.fromEntries(world.names.map((name) => [name, world.migration(name)?.status?.outcome])),
    virtualMs: world.clock.monotonicMs(),
  };
}

function mustSucceed(result: HistoryResult, scenario: Scenario): void {
  for (const [name, outcome] of Object.entries(result.outcomes)) {
    if (outcome?.result === "Succeeded") continue;
    const version = scenario.settings.version?.minor;
    result.violations.push(
      `nothing went wrong, yet ${name} is ${outcome?.result} (${outcome?.reason}: ${outcome?.message}; 2.${version})`,
    );
  }
}
