/** From heat and a policy through the launcher to the mover, and what that does to the volumes: everything a brain does but the API server, on virtual time. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { faultPool, mendPool, stallRebuilds } from "../testing/mayastor/environment.ts";
import type { TruthVolume } from "../testing/mayastor/truth.ts";
import { resumeAnnotation } from "../tiering/brake.ts";
import { replicaCountAnnotation } from "../tiering/erasure-coded.ts";
import { PolicyLab, type PolicyLabOptions } from "./testing/policy-lab.ts";

// Hours of virtual time take seconds of a busy machine's.
setDefaultTimeout(60_000);

const idle = 50;
const busy = 9_000;
let world: PolicyLab;
beforeEach(() => {
  world = new PolicyLab();
});
afterEach(async () => {
  await world.stop();
  expect([world.lab.violations, world.lab.cordons]).toEqual([[], []]);
});

const results = (volume: TruthVolume) => world.of(volume).map(({ status }) => status?.outcome?.reason);
const ended = (volume: TruthVolume, count = 1) =>
  world.until(`${count} migrations have ended`, () => results(volume).filter(Boolean).length >= count);

describe("cold volumes on erasure coding", () => {
  const policy = { ecPolicyRef: "rs", ecMinVolumeSizeBytes: 10 * 1024 ** 3 };
  let volume: TruthVolume;
  beforeEach(async () => {
    world.lab.pools("hot", [1, 2, 3, 4]);
    await world.codedPool(5);
    volume = world.volume(["hot-1", "hot-2", "hot-3"], idle);
    await world.policy(policy);
  });

  test("three replicas become one when the volume goes cold, and three again when it is hot, never worth less than three copies", async () => {
    world.start();
    await ended(volume);
    expect([results(volume), world.lab.where(volume), volume.numReplicas]).toEqual([["Moved"], ["cold-5"], 1]);
    expect(world.of(volume)[0]?.spec).toMatchObject({
      policyRef: "p",
      ecPolicyRef: "rs",
      fromTier: "hot",
      toTier: "cold",
      originalReplicaCount: 3,
      finalReplicaCount: 1,
      triggerIOPS: idle,
    });
    expect(world.annotationsOf(volume)[replicaCountAnnotation]).toBe("3");
    world.heat.set(volume, busy);
    await world.pass(1_800);
    expect([world.decision(volume), world.all.length]).toEqual(["wait Cooldown", 1]);
    await ended(volume, 2);
    expect([results(volume), volume.numReplicas]).toEqual([["Moved", "Moved"], 3]);
    expect(world.lab.where(volume).every((pool) => /^hot-\d$/.test(pool))).toBe(true);
    await world.pass(90);
    expect(world.decision(volume)).toBe("stay OnTargetTier");
    expect(world.status).toMatchObject({ totalMigrations: 2, failedMigrations: 0, hotVolumes: 1, activeMigrations: 0 });
    // It has served: a volume that is given two replicas from now on gets no third by it.
    expect(Object.keys(world.annotationsOf(volume))).toEqual(["storage.billyronks.io/last-migration"]);
  });

  test("nothing goes there while it isn't known to be whole, and goes when it is", async () => {
    world.whole = undefined;
    world.start();
    await world.pass(120);
    expect([world.decision(volume), world.all]).toEqual(["refuse NoUsablePool", []]);
    world.whole = true;
    await ended(volume);
    expect(world.lab.where(volume)).toEqual(["cold-5"]);
  });

  test("shards lost half way there stop it; when they are rebuilt it is finished, and comes back as three", async () => {
    world.start();
    await world.until("one has left", () => {
      const { expectedReplicaCount, steps = [] } = world.of(volume)[0]?.status ?? {};
      return (
        expectedReplicaCount === 3 && steps.some(({ name, state }) => name === "RemoveReplica" && state === "Done")
      );
    });
    world.codeIs(false);
    // One that was asked for by then goes.
    await world.pass(60);
    const left = world.lab.where(volume);
    expect(left.filter((pool) => pool.startsWith("hot")).length).toBeGreaterThanOrEqual(1);
    await world.pass(3_600);
    expect(world.lab.where(volume)).toEqual(left);
    world.codeIs(true);
    await world.until("it is there", () => world.lab.where(volume).join() === "cold-5");
    await world.pass(600);
    expect(world.annotationsOf(volume)[replicaCountAnnotation]).toBe("3");
    world.heat.set(volume, busy);
    await world.until("it is back", () => world.lab.where(volume).every((pool) => /^hot-\d$/.test(pool)));
    expect(volume.numReplicas).toBe(3);
    await world.pass(600);
  });
});

describe("a policy that may begin nothing any more", () => {
  /** Two volumes that are to move, of which the second waits until the replica of the first is filled. */
  function crowd(options: PolicyLabOptions = {}): [TruthVolume, TruthVolume] {
    world = new PolicyLab({ control: { rebuildBytesPerSecond: 2e6 }, ...options, settings: { rebuildsMax: 1 } });
    world.lab.pools("hot", [1, 2]).pools("cold", [3, 4]);
    return [world.volume(["hot-1"], idle), world.volume(["hot-2"], idle)];
  }
  const under = (volumes: readonly TruthVolume[]) =>
    volumes.map((volume) => world.of(volume).map(({ status }) => status?.outcome?.reason ?? status?.phase));

  test("since its window closed: what waits ends and is decided anew when it opens, what is under way goes on", async () => {
    const volumes = crowd();
    await world.policy({ schedule: { cron: "0 */3 * * *", duration: "1h", timeZone: "UTC" } });
    world.start();
    await world.pass(3_500);
    expect(under(volumes).flat().sort()).toEqual(["Copying", "Pending"]);
    await world.pass(200);
    expect(under(volumes).flat().sort()).toEqual(["Copying", "OutsideWindow"]);
    await world.until("the first is through", () => under(volumes).flat().includes("Moved"));
    await world.pass(3_600);
    expect(under(volumes).flat().sort()).toEqual(["Moved", "OutsideWindow"]);
    await world.until(
      "the second is through",
      () =>
        under(volumes)
          .flat()
          .filter((one) => one === "Moved").length === 2,
    );
    const begun = volumes.flatMap((volume) => world.of(volume)).filter(({ status }) => status?.startTime !== undefined);
    expect(begun.map(({ status }) => status?.startTime?.slice(0, 13)).sort()).toEqual([
      "2026-01-01T00",
      "2026-01-01T03",
    ]);
  });

  test("since its migrations fail: what waits ends, and nothing begins until somebody has looked", async () => {
    const volumes = crowd();
    await world.policy({ pauseAfterFailures: 1 });
    world.start();
    await world.until("it copies", () => under(volumes).flat().includes("Copying"));
    const first = volumes.find((volume) => world.of(volume)[0]?.status?.phase === "Copying");
    if (first === undefined) throw new Error("none copies");
    const { cluster } = world.lab.world;
    stallRebuilds(cluster, first, true);
    await world.pass(500);
    // So that the second does not begin while the first one is being taken back.
    const second = first === volumes[0] ? "hot-2" : "hot-1";
    faultPool(cluster, second, false);
    await world.until("it has failed", () => under(volumes).flat().includes("RebuildStalled"));
    mendPool(cluster, second);
    await world.pass(7_200);
    expect(under(volumes).flat().sort()).toEqual(["Paused", "RebuildStalled"]);
    expect(world.status.conditions?.find(({ type }) => type === "MigrationsAllowed")).toMatchObject({
      status: "False",
      reason: "Paused",
    });
    await world.annotate({ [resumeAnnotation]: new Date(world.lab.world.clock.wallMs()).toISOString() });
    await world.until(
      "both are through",
      () =>
        under(volumes)
          .flat()
          .filter((one) => one === "Moved").length === 2,
    );
    expect(volumes.flatMap((volume) => world.lab.where(volume)).every((pool) => pool.startsWith("cold"))).toBe(true);
  });
});
