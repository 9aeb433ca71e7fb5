import { describe, expect, test } from "bun:test";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { MayastorVolume } from "../../mayastor/model.ts";
import { AnswerCheck } from "./answer-check.ts";
import { type CallFault, everyFault } from "./call-faults.ts";
import { MayastorControlPlane } from "./control-plane.ts";
import {
  crashNode,
  deleteVolume,
  faultPool,
  killCore,
  moveTarget,
  publish,
  startNode,
  unpublish,
} from "./environment.ts";
import type { MayastorSettings } from "./settings.ts";
import type { TruthVolume } from "./truth.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { ZeroLoss } from "./zero-loss.ts";

const uuid = "00000000-0000-4000-8000-000000000001";
const check = new AnswerCheck();

class World {
  readonly clock = new VirtualClock();
  readonly plane: MayastorControlPlane;
  readonly volume: TruthVolume;
  readonly problems: string[] = [];

  /** Four nodes, each with a hot and a cold pool; a volume on the hot ones of the first ones, its target on the first. */
  constructor(
    more: {
      replicas?: number;
      settings?: Partial<MayastorSettings>;
      volume?: Partial<TruthVolume>;
      seed?: number;
    } = {},
  ) {
    this.plane = new MayastorControlPlane(this.clock, {
      prng: seededPrng(more.seed ?? 1),
      settings: more.settings ?? {},
    });
    this.plane.onAnswer = (method, path, status, body) => {
      this.problems.push(...check.problems(method, path, status, body === undefined ? body : structuredClone(body)));
    };
    const { cluster } = this.plane;
    for (const n of [1, 2, 3, 4]) {
      cluster.addPool(`hot-${n}`, `node-${n}`, { tier: "hot" });
      cluster.addPool(`cold-${n}`, `node-${n}`, { tier: "cold" });
    }
    const pools = ["hot-1", "hot-2", "hot-3"].slice(0, more.replicas ?? 2);
    this.volume = cluster.addVolume(uuid, pools, more.volume);
    publish(cluster, this.volume, "node-1");
  }

  get cluster() {
    return this.plane.cluster;
  }

  async call(method: "GET" | "PUT" | "DELETE", path: string, body?: unknown, fault?: CallFault) {
    this.plane.fault = () => fault;
    const work = this.plane.request({ method, path: `/v0${path}`, body }, "us");
    const answer = await this.clock.over(work.catch((error: Error) => ({ status: error.message, body: undefined })));
    this.plane.fault = () => undefined;
    return answer;
  }

  async count(n: number, fault?: CallFault) {
    return (await this.call("PUT", `/volumes/${uuid}/replica_count/${n}`, undefined, fault)).status;
  }

  async look(): Promise<MayastorVolume> {
    return (await this.call("GET", `/volumes/${uuid}`)).body as MayastorVolume;
  }

  async pass(seconds: number): Promise<void> {
    await this.clock.pass(seconds * 1000);
    this.plane.catchUp();
  }

  pools(): string[] {
    return [...this.volume.replicas.values()].filter((r) => r.owned).map((replica) => replica.pool);
  }

  cordon(...pools: string[]): void {
    for (const pool of pools) this.cluster.pool(pool).cordon.replicas = true;
  }
}

const hot = ["hot-1", "hot-2", "hot-3", "hot-4"];

describe("replica_count", () => {
  test("goes by one, from Online, and not to where it is", async () => {
    const world = new World();
    expect(await world.count(2)).toBe(412);
    expect(await world.count(4)).toBe(412);
    expect(await world.count(3)).toBe(200);
    expect(await world.count(4)).toBe(412);
    await world.pass(120);
    expect(await world.count(2)).toBe(200);
    expect(world.problems).toEqual([]);
  });

  test("lowered while the new replica is filled takes that one, whatever steers", async () => {
    const world = new World({ settings: { rebuildBytesPerSecond: 1e6 } });
    const before = [...world.volume.replicas.keys()];
    await world.count(3);
    world.cluster.node("node-1").cordons.add("x");
    expect(await world.count(2)).toBe(200);
    expect([...world.volume.replicas.keys()]).toEqual(before);
  });

  test("raised lands on a node without a replica, on a pool that is not cordoned, of the labels that are asked for", async () => {
    const world = new World({ volume: { poolInclusion: { tier: "cold" }, poolExclusion: { tier: "cold" } } });
    world.cordon("cold-3");
    expect(await world.count(3)).toBe(200);
    expect(world.pools()).toEqual(["hot-1", "hot-2", "cold-4"]);
    await world.pass(120);
    expect(await world.count(4)).toBe(507);
  });

  test("never goes below two in an affinity group, nor takes the last healthy one", async () => {
    const world = new World({ volume: { affinityGroup: "db" } });
    expect(await world.count(1)).toBe(412);
    const other = new World();
    faultPool(other.cluster, "hot-2", true);
    await other.pass(40);
    expect(await other.count(1)).toBe(200);
    expect(other.pools()).toEqual(["hot-1"]);
  });

  test("a second change waits for the first, then is in conflict or has nothing to do", async () => {
    const world = new World();
    const first = world.count(3, { kind: "late", ms: 4_000 });
    await world.pass(1);
    const second = world.plane.request({ method: "PUT", path: `/v0/volumes/${uuid}/replica_count/3` }, "us");
    expect((await world.clock.over(second)).status).toBe(409);
    await first;
    expect((await world.look()).spec.operation).toBeUndefined();
  });
});

describe("removal among healthy replicas", () => {
  const moved = async (minor: number, steer: (world: World) => void, patch = 0, seed = 1): Promise<string[]> => {
    const world = new World({ replicas: 1, settings: { version: { minor, patch } }, seed });
    for (const n of [1, 2, 3, 4]) world.cluster.node(`node-${n}`).cordons[n === 2 ? "delete" : "add"]("x");
    world.cluster.pool("hot-2").status = "Faulted";
    world.cluster.cache.refresh("node-2");
    await world.count(2);
    for (const n of [1, 2, 3, 4]) world.cluster.node(`node-${n}`).cordons.clear();
    await world.pass(120);
    expect(world.pools()).toEqual(["hot-1", "cold-2"]);
    steer(world);
    expect(await world.count(1)).toBe(200);
    return world.pools();
  };

  test("unsteered keeps the one at the target, which undoes a move", async () => {
    for (const minor of [7, 8, 9, 10]) expect(await moved(minor, () => undefined)).toEqual(["hot-1"]);
  });

  test("from 2.9 on takes the one on the cordoned node; before, cordons don't matter", async () => {
    const cordon = (world: World) => world.cluster.node("node-1").cordons.add("couchestor-1");
    expect(await moved(9, cordon)).toEqual(["cold-2"]);
    expect(await moved(8, cordon)).toEqual(["hot-1"]);
  });

  test("from 2.7.3 on takes the one whose pool has lost its label", async () => {
    const unlabel = (world: World) => {
      world.volume.poolInclusion = { tier: "" };
      delete world.cluster.pool("hot-1").labels["tier"];
    };
    expect(await moved(8, unlabel)).toEqual(["cold-2"]);
    expect(await moved(7, unlabel, 2)).toEqual(["hot-1"]);
  });

  test("ties go by an order that unrelated events turn over", async () => {
    const gone = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const world = new World({ seed });
      moveTarget(world.cluster, world.volume, "node-4");
      world.cordon(...hot);
      world.cordon("cold-4");
      await world.count(3);
      await world.pass(120);
      const other = world.cluster.addVolume("00000000-0000-4000-8000-0000000000ff", ["hot-4"]);
      if (seed > 1) deleteVolume(world.cluster, other, "admin");
      await world.count(2);
      gone.add(["hot-1", "hot-2", "cold-3"].find((pool) => !world.pools().includes(pool)) ?? "");
    }
    expect([...gone].sort()).toEqual(["cold-3", "hot-1", "hot-2"]);
  });
});

describe("REST is a cache", () => {
  test("a short rebuild shows its first percents and then Online, up to half a minute late", async () => {
    const lateSeconds: number[] = [];
    for (let seed = 1; seed <= 10; seed++) {
      const world = new World({ seed, settings: { rebuildBytesPerSecond: 600e6 } });
      await world.count(3);
      const fresh = [...world.volume.replicas.keys()][2] ?? "";
      const seen = async () => (await world.look()).state.replica_topology[fresh];
      expect(await seen()).toMatchObject({ "child-status": "Degraded", "rebuild-progress": 0, healthy: false });
      await world.pass(2);
      expect(world.cluster.copies(uuid)).toBe(3);
      let late = 0;
      for (; (await seen())?.["child-status"] !== "Online"; late++) await world.pass(1);
      lateSeconds.push(late);
      expect((await world.look()).state.status).toBe("Online");
    }
    expect(Math.max(...lateSeconds)).toBeGreaterThan(15);
    expect(Math.max(...lateSeconds)).toBeLessThanOrEqual(30);
  });

  test("a crashed node's replica looks Online for a while, and its child even longer; what is removed goes by what is", async () => {
    const world = new World({ replicas: 3, settings: { childFaultMs: [3_000, 3_000] } });
    const lost = [...world.volume.replicas.values()][1]?.uuid ?? "";
    const seen = async () => (await world.look()).state.replica_topology[lost];
    crashNode(world.cluster, "node-2");
    await world.pass(5);
    expect(await seen()).toMatchObject({ state: "Online", "child-status": "Online" });
    expect(world.cluster.copies(uuid)).toBe(2);
    expect(await world.count(2)).toBe(200);
    expect(world.pools()).toEqual(["hot-1", "hot-3"]);
  });

  test("max_rebuilds counts by it, so that two quick ones pass a limit of one; a third is refused and leaves a replica behind", async () => {
    const world = new World({ settings: { rebuildsMax: 1, rebuildBytesPerSecond: 1e6 } });
    await world.count(3);
    const other = world.cluster.addVolume("00000000-0000-4000-8000-000000000002", ["hot-1"]);
    publish(world.cluster, other, "node-1");
    const path = `/v0/volumes/${other.uuid}/replica_count/2`;
    const answer = await world.clock.over(world.plane.request({ method: "PUT", path }, "us"));
    expect(answer).toMatchObject({ status: 507, body: { kind: "ResourceExhausted" } });
    expect(other.replicas.size).toBe(2);
    await world.pass(1);
    expect([other.replicas.size, other.numReplicas]).toEqual([1, 1]);
  });
});

describe("an answer that does not come in time", () => {
  test("says 503 after 5 s, with the old state; what was asked for is there seconds later", async () => {
    const world = new World();
    const startedMs = world.clock.monotonicMs();
    expect(await world.count(3, { kind: "late", ms: 10_000 })).toBe(503);
    expect(world.clock.monotonicMs() - startedMs).toBe(5_000);
    expect((await world.look()).spec.num_replicas).toBe(2);
    await world.pass(11);
    expect((await world.look()).spec.num_replicas).toBe(3);
    await world.pass(120);
    expect(await world.count(2, { kind: "late", ms: 3_000 })).toBe(503);
    expect((await world.look()).spec.num_replicas).toBe(3);
    await world.pass(4);
    expect((await world.look()).spec.num_replicas).toBe(2);
    expect(world.problems).toEqual([]);
  });

  test("or it is rolled back, and a third replica is there for a while", async () => {
    const world = new World();
    expect(await world.count(3, { kind: "cut" })).toBe(503);
    await world.pass(6);
    const { spec, state } = await world.look();
    expect([spec.num_replicas, Object.keys(state.replica_topology).length]).toEqual([2, 3]);
    await world.pass(25);
    expect(Object.keys((await world.look()).state.replica_topology).length).toBe(2);
  });

  test("each kind of fault does what it says, and what it answers is as described", async () => {
    const applied: string[] = [];
    for (const fault of everyFault) {
      const world = new World();
      const status = await world.count(3, fault);
      expect([fault, status === 200]).toEqual([fault, fault.kind === "delayed"]);
      await world.pass(60);
      if (world.volume.numReplicas === 3) applied.push(fault.kind);
      expect(world.problems).toEqual([]);
    }
    expect([...new Set(applied)].sort()).toEqual(["after", "delayed", "late"]);
    expect(applied.length).toBe(10);
  });
});

describe("cordons", () => {
  test("of nodes are counted by label, of pools are bits; pools have none before 2.10", async () => {
    const world = new World();
    expect((await world.call("PUT", "/nodes/node-1/cordon/a")).status).toBe(200);
    expect((await world.call("PUT", "/nodes/node-1/cordon/a")).status).toBe(412);
    expect((await world.call("PUT", "/nodes/node-1/cordon/b")).status).toBe(200);
    expect((await world.call("DELETE", "/nodes/node-1/cordon/a")).status).toBe(200);
    expect([...world.cluster.node("node-1").cordons]).toEqual(["b"]);
    const bits = { replicas: true, snapshots: false, restores: false, import: false };
    expect((await world.call("PUT", "/pools/hot-1/cordon", bits)).status).toBe(200);
    expect((await world.call("PUT", "/pools/hot-1/cordon", bits)).status).toBe(422);
    expect((await world.call("DELETE", "/pools/hot-1/cordon", bits)).status).toBe(200);
    expect((await world.call("DELETE", "/pools/hot-1/cordon", bits)).status).toBe(422);
    expect(world.problems).toEqual([]);
    const older = new World({ settings: { version: { minor: 9, patch: 0 } } });
    expect(await older.call("PUT", "/pools/hot-1/cordon", bits)).toEqual({ status: 404, body: undefined });
  });

  test("a node whose record could not be written refuses until the core is started again", async () => {
    const world = new World();
    const cordon = async () => (await world.call("PUT", "/nodes/node-1/cordon/a")).status;
    world.cluster.storeDown = true;
    expect(await cordon()).toBe(507);
    expect((await world.look()).spec.uuid).toBe(uuid);
    world.cluster.storeDown = false;
    await world.pass(150);
    expect(await cordon()).toBe(507);
    killCore(world.cluster, 19_000);
    await world.pass(18);
    expect(await cordon()).toBe(503);
    await world.pass(2);
    expect(await cordon()).toBe(200);
  });
});

describe("what Mayastor does by itself", () => {
  test("a target that moves in mid-rebuild fills the new replica from the beginning", async () => {
    const world = new World({ settings: { rebuildBytesPerSecond: 6e6 } });
    await world.count(3);
    await world.pass(50);
    moveTarget(world.cluster, world.volume, "node-4");
    await world.pass(35);
    expect((await world.look()).state.target?.node).toBe("node-4");
    expect(world.cluster.copies(uuid)).toBe(2);
    await world.pass(300);
    expect(world.cluster.copies(uuid)).toBe(3);
  });

  test("after an unclean crash of the target one replica is trusted and the others are replaced under new names", async () => {
    const world = new World();
    const before = [...world.volume.replicas.keys()];
    crashNode(world.cluster, "node-1");
    await world.pass(15);
    expect((await world.look()).state.target).toBeUndefined();
    expect((await world.look()).state.status).toBe("Unknown");
    expect(await world.count(3)).toBe(503);
    await world.pass(30);
    startNode(world.cluster, "node-1");
    await world.pass(200);
    const after = [...world.volume.replicas.values()].filter((replica) => replica.owned).map((replica) => replica.uuid);
    expect(before.filter((name) => after.includes(name)).length).toBe(1);
    expect(world.cluster.copies(uuid)).toBe(2);
  });

  test("a replica on a lost pool is replaced where Mayastor likes", async () => {
    const world = new World({ settings: { faultedChildWaitMs: 60_000 } });
    world.cordon("cold-3", "cold-4");
    faultPool(world.cluster, "hot-2", true);
    await world.pass(300);
    expect(world.cluster.copies(uuid)).toBe(2);
    expect(world.pools()[1]).toMatch(/^(hot-[34]|cold-2)$/);
  });

  test("a replica that is added while nobody uses the volume stays empty, though the volume looks Online, until 2.12", async () => {
    for (const minor of [11, 12]) {
      const world = new World({ settings: { version: { minor, patch: 0 } } });
      unpublish(world.cluster, world.volume);
      expect(await world.count(3)).toBe(200);
      await world.pass(600);
      expect((await world.look()).state.status).toBe(minor === 11 ? "Online" : "Degraded");
      expect(world.cluster.copies(uuid)).toBe(2);
      publish(world.cluster, world.volume, "node-1");
      await world.pass(120);
      expect(world.cluster.copies(uuid)).toBe(3);
    }
  });
});

describe("the invariant", () => {
  test("sees a needed copy go by our doing, and not by a fault or by a person", async () => {
    const world = new World();
    const zeroLoss = new ZeroLoss(world.cluster);
    zeroLoss.watch(uuid, { needed: 2, countMin: 2, consented: 0 });
    faultPool(world.cluster, "hot-2", true);
    await world.pass(40);
    expect(zeroLoss.violations).toEqual([]);
    const other = new World();
    const watch = new ZeroLoss(other.cluster);
    watch.watch(uuid, { needed: 2, countMin: 2, consented: 0 });
    await other.count(1);
    expect(watch.violations.length).toBe(2);
    expect(watch.violations[0]).toContain("2 healthy copies became 1");
    deleteVolume(other.cluster, other.volume, "admin");
    expect(watch.violations.length).toBe(2);
  });
});
