import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { migrationKind } from "@couchestor/common/crd/migration.ts";
import { deleteVolume, stallRebuilds, unpublish } from "../testing/mayastor/environment.ts";
import { ecVolumeLabel } from "./ports.ts";
import { Lab, stepsOf } from "./testing/lab.ts";

// Hours of virtual time take seconds of a busy machine's.
setDefaultTimeout(30_000);

const oneMove = [
  "SteerPlacement",
  "AddReplica",
  "ReleaseSteering",
  "WaitForRebuild",
  "SteerRemoval",
  "RemoveReplica",
  "ReleaseSteering",
];

describe("a volume goes to another tier", () => {
  test("one replica after the other, each steered by cordons of pools and of one node; all of them taken back", async () => {
    const lab = new Lab().pools("hot", [1, 2, 3]).pools("cold", [1, 2, 3]);
    const volume = lab.volume(["hot-1", "hot-2"]);
    const status = await lab.carryOut(lab.spec(volume, "hot", "cold"));
    expect(status.outcome).toMatchObject({ result: "Succeeded", reason: "Moved" });
    expect(stepsOf(status)).toEqual(["Preflight", ...oneMove, ...oneMove]);
    expect(lab.where(volume).every((pool) => pool.startsWith("cold"))).toBe(true);
    expect(status).toMatchObject({ progressPercent: 100, heldSteering: [], bytesDone: status.bytesTotal ?? -1 });
    expect([status.failures, status.ending]).toEqual([undefined, undefined]);
    expect(lab.cordons).toEqual([]);
    expect(lab.violations).toEqual([]);
  });

  test("with cordons of nodes before 2.10, where no target's node has a pool of another tier", async () => {
    const lab = new Lab({ minor: 9 }).pools("hot", [1, 2]).pools("cold", [3, 4]);
    const volume = lab.volume(["hot-1"]);
    const status = await lab.carryOut(lab.spec(volume, "hot", "cold"));
    expect([status.outcome?.result, status.baseline?.mover]).toEqual(["Succeeded", "NodeCordon"]);
    expect([lab.cordons, lab.violations]).toEqual([[], []]);
  });

  test("with labels before 2.9, if that is allowed", async () => {
    const lab = new Lab({ minor: 8, allow: { labelSteering: true } }).pools("hot", [1, 2, 3]).pools("cold", [1, 2, 3]);
    const volume = lab.volume(["hot-1", "hot-2"]);
    const status = await lab.carryOut(lab.spec(volume, "hot", "cold"));
    expect([status.outcome?.result, status.baseline?.mover]).toEqual(["Succeeded", "LabelSteering"]);
    expect(
      [...lab.world.cluster.pools.values()].map(({ id, labels }) => id.startsWith(labels["tier"] ?? "?")),
    ).not.toContain(false);
    expect(lab.violations).toEqual([]);
  });

  test("and keeps its old replicas in preservation mode", async () => {
    const lab = new Lab().pools("hot", [1, 2]).pools("cold", [3, 4, 5]);
    const volume = lab.volume(["hot-1", "hot-2"]);
    const status = await lab.carryOut(lab.spec(volume, "hot", "cold", { preservationMode: true }));
    expect(status.outcome).toMatchObject({ result: "Succeeded", reason: "Preserved" });
    expect(lab.where(volume).filter((pool) => pool.startsWith("hot"))).toEqual(["hot-1", "hot-2"]);
    expect(volume.numReplicas).toBe(4);
    expect(lab.violations).toEqual([]);
  });
});

describe("two at once", () => {
  test("in opposite directions: cordons of the one don't fail the other, however short its patience with pools", async () => {
    const lab = new Lab({ settings: { preflightMsMax: 10_000 } }).pools("hot", [1, 2]).pools("cold", [3, 4]);
    const down = lab.volume(["hot-1"]);
    const up = lab.volume(["cold-3"]);
    await lab.begin(lab.spec(down, "hot", "cold"));
    await lab.until("it has closed the hot pools", ({ heldSteering }) =>
      (heldSteering ?? []).some(({ target, state }) => target === "hot-2" && state === "Set"),
    );
    const back = lab.spec(up, "cold", "hot");
    const replicas = back.replicas.map((replica) => ({ ...replica, toPools: ["hot-2"] }));
    await lab.begin({ ...back, replicas }, 0, "back");
    const first = await lab.end();
    expect([first.outcome?.result, lab.status("back").outcome?.result]).toEqual(["Succeeded", "Succeeded"]);
    expect([lab.where(down)[0]?.slice(0, 4), lab.where(up)]).toEqual(["cold", ["hot-2"]]);
    expect([lab.cordons, lab.violations]).toEqual([[], []]);
  });

  test("a long wait for a turn leaves all of the patience with pools that are closed for a moment", async () => {
    const lab = new Lab({ control: { rebuildBytesPerSecond: 1e6 }, settings: { rebuildsMax: 1 } });
    lab.pools("hot", [1, 2]).pools("cold", [3]);
    const volumes = [lab.volume(["hot-1"]), lab.volume(["hot-2"])] as const;
    await lab.begin(lab.spec(volumes[0], "hot", "cold"));
    await lab.until("it copies", ({ phase }) => phase === "Copying");
    await lab.begin(lab.spec(volumes[1], "hot", "cold"), 0, "next");
    await lab.world.clock.pass(400_000);
    expect(lab.status("next").message).toContain("replicas are being filled");
    const { cordon } = lab.world.cluster.pool("cold-3");
    cordon.replicas = true;
    await lab.world.clock.pass(60_000);
    expect(lab.status("next")).toMatchObject({ phase: "Pending", message: expect.stringContaining("cordoned") });
    cordon.replicas = false;
    expect([(await lab.end()).outcome?.result, lab.status("next").outcome?.result]).toEqual(["Succeeded", "Succeeded"]);
    expect([lab.cordons, lab.violations]).toEqual([[], []]);
  });
});

describe("no spare node", () => {
  test("each replica leaves before its successor comes, if that is allowed, and never more than one", async () => {
    for (const nodes of [
      [1, 2, 3],
      [1, 2],
    ]) {
      const lab = new Lab({ allow: { shrinkThenGrow: true, shrinkTwoReplicas: true } });
      lab.pools("hot", nodes).pools("cold", nodes);
      const volume = lab.volume(nodes.map((n) => `hot-${n}`));
      const status = await lab.carryOut(lab.spec(volume, "hot", "cold"), 1);
      expect(status.outcome).toMatchObject({ result: "Succeeded", reason: "Moved" });
      expect(status.baseline?.order).toBe("ShrinkFirst");
      expect(lab.where(volume)).toEqual(nodes.map((n) => `cold-${n}`));
      expect(lab.violations).toEqual([]);
    }
  });

  test("called off with one copy less, the volume gets its replica back before it ends", async () => {
    const lab = new Lab({ allow: { shrinkThenGrow: true } }).pools("hot", [1, 2, 3]).pools("cold", [1, 2, 3]);
    const volume = lab.volume(["hot-1", "hot-2", "hot-3"]);
    await lab.begin(lab.spec(volume, "hot", "cold"), 1);
    await lab.until("one is gone", ({ expectedReplicaCount }) => expectedReplicaCount === 2);
    await lab.abort();
    const status = await lab.end();
    expect(status.outcome).toMatchObject({ result: "Aborted", reason: "Aborted" });
    expect([volume.numReplicas, lab.where(volume).some((pool) => pool.endsWith("!"))]).toEqual([3, false]);
    expect([lab.cordons, lab.violations]).toEqual([[], []]);
  });
});

describe("onto erasure coding and back", () => {
  const cluster = (healthy: boolean, lossesMax = 2) =>
    new Lab()
      .pools("hot", [1, 2, 3, 4])
      .pools("cold", [5], { erasureCoded: { lossesMax, healthy } }, { [ecVolumeLabel]: "ec" });

  test("three copies become one that is worth three; and three again, before that one goes", async () => {
    const lab = cluster(true);
    const volume = lab.volume(["hot-1", "hot-2", "hot-3"]);
    const down = await lab.carryOut(lab.spec(volume, "hot", "cold", { finalReplicaCount: 1 }));
    expect([down.outcome?.result, lab.where(volume)]).toEqual(["Succeeded", ["cold-5"]]);
    const up = await lab.carryOut(lab.spec(volume, "cold", "hot", { finalReplicaCount: 3 }), 0, "back");
    expect([up.outcome?.result, volume.numReplicas]).toEqual(["Succeeded", 3]);
    expect(lab.where(volume).every((pool) => pool.startsWith("hot"))).toBe(true);
    expect(stepsOf(up).lastIndexOf("AddReplica")).toBeLessThan(stepsOf(up).indexOf("RemoveReplica"));
    expect([lab.cordons, lab.world.zeroLoss.violations]).toEqual([[], []]);
  });

  test("half way there, the others only leave", async () => {
    const lab = cluster(true);
    const volume = lab.volume(["hot-1", "cold-5", "hot-3"]);
    const status = await lab.carryOut(lab.spec(volume, "hot", "cold", { fromTier: "mixed", finalReplicaCount: 1 }));
    expect([status.outcome?.reason, lab.where(volume)]).toEqual(["Moved", ["cold-5"]]);
    expect(stepsOf(status)).not.toContain("AddReplica");
    const ill = cluster(false);
    const other = ill.volume(["hot-1", "cold-5", "hot-3"]);
    const refused = await ill.carryOut(ill.spec(other, "hot", "cold", { fromTier: "mixed", finalReplicaCount: 1 }));
    expect([refused.outcome?.reason, other.numReplicas]).toEqual(["NotEnoughCopies", 3]);
    expect([lab.cordons, lab.violations, ill.violations]).toEqual([[], [], []]);
  });

  test("is refused while its stripes are not all verified, or where they bear fewer losses than copies would", async () => {
    for (const lab of [cluster(false), cluster(true, 1)]) {
      const volume = lab.volume(["hot-1", "hot-2", "hot-3"]);
      const status = await lab.carryOut(lab.spec(volume, "hot", "cold", { finalReplicaCount: 1 }));
      expect(status.outcome).toMatchObject({ result: "Failed", reason: "NotEnoughCopies" });
      expect(lab.world.plane.writes).toBe(0);
    }
  });

  test("stops lowering when the erasure-coded volume loses shards, and says with how many replicas it ends", async () => {
    const lab = cluster(true);
    const volume = lab.volume(["hot-1", "hot-2", "hot-3"]);
    await lab.begin(lab.spec(volume, "hot", "cold", { finalReplicaCount: 1 }));
    await lab.until("one copy has gone", ({ expectedReplicaCount }) => expectedReplicaCount === 3);
    await lab.until("the copy is there", ({ steps }) =>
      steps.some((step) => step.name === "RemoveReplica" && step.state === "Done"),
    );
    const { erasureCoded } = lab.world.cluster.pool("cold-5");
    const { cluster: control } = lab.world;
    control.transition(volume, "fault", "shards are lost", () => {
      if (erasureCoded !== undefined) erasureCoded.healthy = false;
    });
    const status = await lab.end();
    expect(status.outcome?.result).not.toBe("Succeeded");
    expect(control.copies(volume.uuid)).toBeGreaterThanOrEqual(3);
    expect(lab.violations).toEqual([]);
  });
});

describe("called off", () => {
  test("while the copy is being made: the volume is as it was", async () => {
    const lab = new Lab({ control: { rebuildBytesPerSecond: 2e6 } }).pools("hot", [1, 2]).pools("cold", [3, 4]);
    const volume = lab.volume(["hot-1", "hot-2"]);
    await lab.begin(lab.spec(volume, "hot", "cold"));
    await lab.until("it copies", ({ phase }) => phase === "Copying");
    await lab.abort();
    const status = await lab.end();
    expect(status.outcome?.result).toBe("Aborted");
    expect([lab.where(volume), volume.numReplicas]).toEqual([["hot-1", "hot-2"], 2]);
    expect([lab.cordons, lab.violations]).toEqual([[], []]);
  });

  test("by deleting its object, which goes only when everything has been taken back", async () => {
    const lab = new Lab({ control: { rebuildBytesPerSecond: 2e6 } }).pools("hot", [1, 2]).pools("cold", [3, 4]);
    const volume = lab.volume(["hot-1"]);
    await lab.begin(lab.spec(volume, "hot", "cold"));
    await lab.until("cordons are set", ({ heldSteering }) => (heldSteering ?? []).length > 0);
    await lab.world.store.delete(migrationKind, "move");
    expect(lab.object()?.metadata.deletionTimestamp).toBeDefined();
    await lab.world.run(3_600_000);
    await lab.world.clock.pass(60_000);
    expect(lab.object()?.status?.outcome).toMatchObject({ result: "Aborted", reason: "Deleted" });
    expect([lab.where(volume), lab.cordons, lab.violations]).toEqual([["hot-1"], [], []]);
  });

  test("by its own time, when a rebuild doesn't end", async () => {
    const lab = new Lab({ control: { rebuildBytesPerSecond: 2e6 } }).pools("hot", [1, 2]).pools("cold", [3, 4]);
    const volume = lab.volume(["hot-1", "hot-2"]);
    await lab.begin(lab.spec(volume, "hot", "cold", { timeout: "5m" }));
    await lab.until("it copies", ({ phase }) => phase === "Copying");
    stallRebuilds(lab.world.cluster, volume, true);
    const status = await lab.end();
    expect(status.outcome).toMatchObject({ result: "TimedOut", reason: "Timeout" });
    expect([lab.where(volume), lab.violations]).toEqual([["hot-1", "hot-2"], []]);
  });

  test("since the rebuild has stood still", async () => {
    const lab = new Lab({ control: { rebuildBytesPerSecond: 2e6 } }).pools("hot", [1, 2]).pools("cold", [3, 4]);
    const volume = lab.volume(["hot-1", "hot-2"]);
    await lab.begin(lab.spec(volume, "hot", "cold"));
    await lab.until("it copies", ({ phase }) => phase === "Copying");
    stallRebuilds(lab.world.cluster, volume, true);
    const status = await lab.end();
    expect(status.outcome).toMatchObject({ result: "Failed", reason: "RebuildStalled" });
    expect([lab.where(volume), lab.violations]).toEqual([["hot-1", "hot-2"], []]);
  });

  test("by the volume's end: nothing of ours stays", async () => {
    const lab = new Lab({ control: { rebuildBytesPerSecond: 2e6 } }).pools("hot", [1, 2]).pools("cold", [1, 2]);
    const volume = lab.volume(["hot-1"]);
    await lab.begin(lab.spec(volume, "hot", "cold"));
    await lab.until("cordons are set", ({ heldSteering }) => (heldSteering ?? []).some(({ state }) => state === "Set"));
    lab.world.watch.taken(volume.uuid);
    deleteVolume(lab.world.cluster, volume, "admin");
    const status = await lab.end();
    expect(status.outcome).toMatchObject({ result: "Superseded", reason: "VolumeDeleted" });
    expect([lab.cordons, lab.violations]).toEqual([[], []]);
  });
});

test("a volume that is detached while it is being copied waits, and is given back after a while if it isn't used again", async () => {
  const lab = new Lab({ control: { rebuildBytesPerSecond: 2e6 } }).pools("hot", [1, 2]).pools("cold", [3, 4]);
  const volume = lab.volume(["hot-1", "hot-2"]);
  await lab.begin(lab.spec(volume, "hot", "cold"));
  await lab.until("it copies", ({ phase }) => phase === "Copying");
  unpublish(lab.world.cluster, volume);
  const status = await lab.end();
  expect(status.outcome).toMatchObject({ result: "Failed", reason: "NotPublished" });
  expect([lab.where(volume), lab.violations]).toEqual([["hot-1", "hot-2"], []]);
});

test("two brains that both take themselves for the leader do nothing twice: the journal is compare-and-swap", async () => {
  const lab = new Lab().pools("hot", [1, 2, 3]).pools("cold", [1, 2, 3]);
  const volume = lab.volume(["hot-1", "hot-2"]);
  await lab.begin(lab.spec(volume, "hot", "cold"));
  const first = lab.world.brains[0];
  lab.world.startBrain();
  if (first !== undefined) Object.assign(first, { depose: () => undefined });
  const status = await lab.end();
  expect(status.outcome?.result).toBe("Succeeded");
  expect(lab.violations).toEqual([]);
});
