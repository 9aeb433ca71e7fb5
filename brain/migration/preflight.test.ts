import { describe, expect, test } from "bun:test";
import { ecVolumeLabel } from "./ports.ts";
import { preflight } from "./preflight.ts";
import type { MigrationAllowances } from "./settings.ts";
import {
  cluster,
  gib,
  journal,
  newest,
  observation,
  replica,
  spec,
  turn,
  unsettled,
  volume,
} from "./testing/samples.ts";
import type { Observation } from "./turn.ts";
import type { VolumeView } from "./view.ts";

const a = replica("a", "hot-1");
const b = replica("b", "hot-2");
const pools = ["hot-1", "hot-2", "hot-3", "cold-3", "cold-4"];
const cold = ["cold-3", "cold-4"];

interface Case {
  seen?: VolumeView | "absent";
  view?: ReturnType<typeof cluster>;
  wanted?: Parameters<typeof spec>[2];
  more?: Partial<Observation>;
  allow?: Partial<MigrationAllowances>;
}

function check({ seen = volume([a, b]), view = cluster(pools), wanted = {}, more = {}, allow = {} }: Case) {
  return preflight(turn(journal(spec([a, b], cold, wanted)), observation(seen, view, more), allow));
}

/** The word for what is the matter. */
function word(given: Case): string {
  const found = check(given);
  return "refused" in found ? found.refused : "wait" in found ? `wait: ${found.reason}` : found.ready.order;
}

const older = (more: object): Partial<Observation> => ({
  cluster: { view: cluster(pools), version: { ...newest, poolCordon: false, ...more }, ageMs: 0 },
});

test("a migration that can begin says how it will go", () => {
  expect(check({})).toEqual({
    ready: {
      replicas: [
        { replicaUuid: "a", pool: "hot-1" },
        { replicaUuid: "b", pool: "hot-2" },
      ],
      requiredCopies: 2,
      mover: "PoolCordon",
      order: "GrowFirst",
    },
  });
});

describe("refusals, and what lifts them", () => {
  test("SelfHealOff, Snapshots, NotPublished", () => {
    expect(word({ seen: volume([a, b], { selfHeal: false }) })).toBe("SelfHealOff");
    const snapshots = volume([a, b], { snapshots: 2 });
    expect(word({ seen: snapshots })).toBe("Snapshots");
    expect(word({ seen: snapshots, allow: { snapshots: true } })).toBe("GrowFirst");
    const detached = volume(
      [
        { ...a, child: undefined },
        { ...b, child: undefined },
      ],
      {
        publishedOn: undefined,
        target: undefined,
        status: "Online",
      },
    );
    expect(word({ seen: detached })).toBe("NotPublished");
    expect(word({ seen: detached, allow: { offlineRebuild: true } })).toBe("GrowFirst");
    const untold = { ...detached, replicas: detached.replicas.map((found) => ({ ...found, healthy: undefined })) };
    expect(word({ seen: untold, allow: { offlineRebuild: true } })).toBe("NotPublished");
  });

  test("AffinityGroup: never below two", () => {
    const grouped = volume([a, b], { affinityGroup: "db" });
    expect(word({ seen: grouped })).toBe("GrowFirst");
    expect(word({ seen: grouped, wanted: { finalReplicaCount: 1 } })).toBe("AffinityGroup");
  });

  test("UnsupportedVersion: 2.9 is needed, 2.7.3 with steering by labels, nothing helps before", () => {
    const old = older({ nodeCordonAware: false });
    const ancient = older({ nodeCordonAware: false, topologyAware: false });
    expect(word({ more: old })).toBe("UnsupportedVersion");
    expect(word({ more: old, allow: { labelSteering: true } })).toBe("GrowFirst");
    expect(word({ more: ancient, allow: { labelSteering: true } })).toBe("UnsupportedVersion");
  });

  test("SteeringIneffective: without a label that the volume asks for, labels steer nothing", () => {
    const plain = volume([a, b], { poolRule: { inclusion: {}, exclusion: {} } });
    const given = { seen: plain, more: older({ nodeCordonAware: false }) };
    expect(word({ ...given, allow: { labelSteering: true } })).toBe("AmbiguousPlacement");
    expect(word({ ...given, allow: { labelSteering: true, ambiguousPlacement: true } })).toBe("SteeringIneffective");
  });

  test("AmbiguousPlacement: whole nodes can't be closed where the target is", () => {
    const mixed = cluster(["hot-1", "hot-2", "hot-3", "cold-3"]);
    const more = { cluster: { view: mixed, version: { ...newest, poolCordon: false }, ageMs: 0 } };
    expect(word({ more })).toBe("AmbiguousPlacement");
    expect(word({ more, allow: { ambiguousPlacement: true } })).toBe("GrowFirst");
    expect(word({ view: mixed })).toBe("GrowFirst");
  });

  test("PinnedByTopology: the volume asks for pools of its old tier", () => {
    const pinned = volume([a, b], { poolRule: { inclusion: { tier: "hot" }, exclusion: {} } });
    expect(word({ seen: pinned })).toBe("PinnedByTopology");
    expect(word({ seen: volume([a, b], { allowedNodes: ["node-1", "node-2"] }) })).toBe("PinnedByTopology");
    const excluded = volume([a, b], { poolRule: { inclusion: {}, exclusion: { tier: "cold" } } });
    expect(word({ seen: excluded })).toBe("PinnedByTopology");
  });

  test("NoSpareNode, unless a replica may leave first; the only one of two never does without consent", () => {
    const c = replica("c", "hot-3");
    const tight = cluster(["hot-1", "hot-2", "hot-3", "cold-1", "cold-2", "cold-3"]);
    const three = (allow: Partial<MigrationAllowances>) =>
      preflight(
        turn(journal(spec([a, b, c], ["cold-1", "cold-2", "cold-3"])), observation(volume([a, b, c]), tight), allow),
      );
    expect(three({})).toMatchObject({ refused: "NoSpareNode" });
    expect(three({ shrinkThenGrow: true })).toMatchObject({ ready: { order: "ShrinkFirst", requiredCopies: 3 } });
    const two = (allow: Partial<MigrationAllowances>) =>
      preflight(
        turn(
          journal(spec([a, b], ["cold-1", "cold-2"])),
          observation(volume([a, b]), cluster(["hot-1", "hot-2", "cold-1", "cold-2"])),
          allow,
        ),
      );
    expect(two({ shrinkThenGrow: true })).toMatchObject({ refused: "NoSpareNode" });
    expect(two({ shrinkTwoReplicas: true })).toMatchObject({ ready: { order: "ShrinkFirst" } });
    const one = preflight(
      turn(journal(spec([a], ["cold-1"])), observation(volume([a]), cluster(["hot-1", "cold-1"])), {
        shrinkThenGrow: true,
        shrinkTwoReplicas: true,
      }),
    );
    expect(one).toMatchObject({ refused: "NoSpareNode" });
  });

  test("NoSpareNode: replicas that are kept need as many nodes more", () => {
    expect(word({ wanted: { preservationMode: true } })).toBe("GrowFirst");
    expect(word({ wanted: { preservationMode: true }, view: cluster(["hot-1", "hot-2", "cold-3"]) })).toBe(
      "NoSpareNode",
    );
  });

  test("but pools that only can't be used now are waited for", () => {
    const wanted = { preservationMode: true };
    const view = cluster(pools, { pools: { "cold-4": { cordoned: true } } });
    expect(word({ wanted, view })).toBe("wait: NoUsablePool");
    const steering = [{ kind: "NodeCordon" as const, target: "node-4", detail: "couchestor-1" }];
    const more = {
      others: {
        sameVolume: undefined,
        copying: 0,
        reservedBytes: new Map(),
        steering,
        cordonedNodes: new Set<string>(),
      },
    };
    const passing = cluster(pools, { nodes: { "node-4": { cordons: ["couchestor-1"] } } });
    expect(word({ wanted, view: passing, more })).toBe("GrowFirst");
  });

  test("NotEnoughSpace: a thin replica may be filled, and what others were promised is gone", () => {
    const full = { "cold-3": { freeBytes: gib / 2 }, "cold-4": { freeBytes: gib } };
    expect(word({ view: cluster(pools, { pools: full }) })).toBe("GrowFirst");
    const others = {
      sameVolume: undefined,
      copying: 1,
      reservedBytes: new Map([["cold-4", 1]]),
      steering: [],
      cordonedNodes: new Set<string>(),
    };
    expect(word({ view: cluster(pools, { pools: full }), more: { others } })).toBe("NotEnoughSpace");
  });

  test("NotEnoughCopies is waited for where an ECVolume isn't known to be whole at the moment", () => {
    const coded = { labels: { tier: "cold", [ecVolumeLabel]: "ec" } };
    const view = cluster(pools, { pools: { "cold-3": coded, "cold-4": coded } });
    const wanted = { finalReplicaCount: 1 };
    expect(word({ wanted, view })).toBe("wait: NotEnoughCopies");
    const worth = (copies: number) => ({ copiesByPool: new Map(["cold-3", "cold-4"].map((pool) => [pool, copies])) });
    expect(word({ wanted, view, more: worth(3) })).toBe("GrowFirst");
    expect(word({ wanted, view, more: worth(1) })).toBe("NotEnoughCopies");
  });

  test("a replica on an ECVolume of which nothing is known may be worth several, and as many must be left", () => {
    const coded = { labels: { tier: "cold", [ecVolumeLabel]: "ec" } };
    const view = cluster(["cold-5", "hot-1", "hot-2", "hot-3"], { pools: { "cold-5": coded } });
    const only = replica("e", "cold-5");
    const up = { toTier: "hot" as const, fromTier: "cold" as const, finalReplicaCount: 3 };
    const ready = (copiesByPool: ReadonlyMap<string, number>) =>
      preflight(
        turn(
          journal(spec([only], ["hot-1", "hot-2", "hot-3"], up)),
          observation(volume([only]), view, { copiesByPool }),
        ),
      );
    expect(ready(new Map())).toMatchObject({ ready: { requiredCopies: 3 } });
    expect(ready(new Map([["cold-5", 2]]))).toMatchObject({ ready: { requiredCopies: 2 } });
  });

  test("NotEnoughCopies: one replica instead of two is enough only where it is worth two", () => {
    const wanted = { finalReplicaCount: 1 };
    expect(word({ wanted })).toBe("NotEnoughCopies");
    const worth = (copies: number) => ({ copiesByPool: new Map(cold.map((pool) => [pool, copies])) });
    expect(word({ wanted, more: worth(2) })).toBe("GrowFirst");
    expect(word({ wanted, more: { copiesByPool: new Map([["cold-3", 3]]) } })).toBe("NotEnoughCopies");
  });
});

describe("what has changed since it was decided", () => {
  test("is waited for until reads are equal, and then another decision is needed", () => {
    const fewer = volume([a]);
    expect(word({ seen: fewer, more: { settle: unsettled } })).toBe("wait: VolumeNotReady");
    expect(word({ seen: fewer })).toBe("ReplicaCountChanged");
    expect(word({ seen: volume([a, replica("x", "hot-2")]) })).toBe("ReplicasChanged");
    expect(word({ seen: volume([a, replica("b", "hot-3")]) })).toBe("ReplicasChanged");
    expect(word({ seen: "absent" })).toBe("VolumeDeleted");
    expect(word({ seen: "absent", more: { settle: unsettled } })).toBe("wait: VolumeNotReady");
  });
});

describe("what is waited for", () => {
  test("a volume that isn't whole, one that another migration moves, pools that can't be used now", () => {
    const rebuilding = volume([a, { ...b, child: "Degraded", rebuildPercent: 5 }]);
    expect(word({ seen: rebuilding })).toBe("wait: VolumeNotReady");
    expect(word({ seen: volume([a, b], { operation: "Resize" }) })).toBe("wait: VolumeNotReady");
    expect(word({ seen: volume([a, { ...b, healthy: false }]) })).toBe("wait: VolumeNotReady");
    const others = {
      sameVolume: "older",
      copying: 0,
      reservedBytes: new Map(),
      steering: [],
      cordonedNodes: new Set<string>(),
    };
    expect(word({ more: { others } })).toBe("wait: Busy");
    // What the other one is doing to the volume is not somebody else's doing.
    const meanwhile = volume([a, b, replica("n", "cold-3")]);
    expect([word({ seen: meanwhile }), word({ seen: meanwhile, more: { others } })]).toEqual([
      "ReplicaCountChanged",
      "wait: Busy",
    ]);
    expect(word({ more: { others: { ...others, sameVolume: undefined, copying: 10 } } })).toBe("wait: Busy");
    const away = { "cold-3": { status: undefined }, "cold-4": { cordoned: true } };
    expect(word({ view: cluster(pools, { pools: away }) })).toBe("wait: NoUsablePool");
    const ours = {
      ...others,
      sameVolume: undefined,
      steering: [{ kind: "PoolCordon" as const, target: "cold-4", detail: "replicas" }],
    };
    expect(word({ view: cluster(pools, { pools: away }), more: { others: ours } })).toBe("GrowFirst");
    const closed = { "node-3": { cordons: ["x"] }, "node-4": { status: "Offline" } };
    expect(word({ view: cluster(pools, { nodes: closed }) })).toBe("wait: NoUsablePool");
  });
});
