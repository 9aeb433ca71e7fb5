/**
 * Wrong movers. Each differs from the right one in one judgement, and each must be caught: a check that never fires proves nothing.
 * They are made here, of the rules that the mover takes and of the ports around it; nothing that ships can be switched to any of them.
 */
import { migrationKind } from "@couchestor/common/crd/migration.ts";
import type { MayastorClient } from "../../mayastor/client.ts";
import type { MayastorVolume } from "../../mayastor/model.ts";
import type { WriteOutcome } from "../../mayastor/outcome.ts";
import type { MigrationDeps } from "../ports.ts";
import { type MoverRules, soundRules } from "../rules.ts";
import type { VictimQuestion } from "../victims.ts";
import type { Flavour } from "./scenario.ts";

export interface Mutation {
  /** What is wrong with it. */
  what: string;
  /** The histories that press on it. */
  flavour: Flavour;
  rules?: Partial<MoverRules>;
  deps?: (deps: MigrationDeps) => MigrationDeps;
}

export const mutations: readonly Mutation[] = [
  {
    what: "trusts one read of what came of a call",
    flavour: "late",
    rules: { settled: (settle, of, settings) => of !== "health" || soundRules.settled(settle, of, settings) },
  },
  { what: "waits for no reads to be equal", flavour: "calledOff", rules: { settled: () => true } },
  {
    what: "takes three seconds for settled",
    flavour: "calledOff",
    rules: {
      settled: (settle, of, settings) =>
        soundRules.settled(settle, of, { ...settings, settleMs: 3_000, settleReadsMin: 1 }),
    },
  },
  {
    what: "lowers the count before the new replica is complete",
    flavour: "quiet",
    rules: { unsoundness: () => undefined, whyNotLower: () => undefined, victims: onCordonedNodes },
  },
  { what: "takes after minus before for the new replica, wherever it is", flavour: "spare", deps: seeingWanted },
  { what: "sets no cordon at all", flavour: "quiet", rules: { steering: () => [] } },
  { what: "forgets one of the cordons", flavour: "quiet", rules: { steering: (items) => items.slice(1) } },
  {
    what: "does not steer which replica leaves",
    flavour: "quiet",
    rules: {
      steering: (items) => items.filter(({ kind }) => kind !== "NodeCordon"),
      victims: onCordonedNodes,
    },
  },
  {
    what: "takes cordons of others for its own",
    flavour: "rival",
    rules: { isForeign: () => false },
  },
  { what: "takes its own cordons for those of others", flavour: "lost", rules: { isForeign: () => true } },
  {
    what: "takes back what it set before that can have come",
    flavour: "calledOff",
    rules: { mayTakeBack: () => true },
  },
  { what: "never takes back what it set", flavour: "quiet", rules: { mayTakeBack: () => false } },
  { what: "skips the journal", flavour: "kills", deps: skippingJournal },
  {
    what: "takes no answer for done",
    flavour: "lost",
    deps: (deps) => rewriting(deps, (o) => (o.kind === "unknown" ? { kind: "done", body: undefined } : o)),
  },
  {
    what: "takes no answer for refused",
    flavour: "lost",
    deps: (deps) =>
      rewriting(deps, (o) => (o.kind === "unknown" ? { kind: "refused", why: "precondition", message: o.message } : o)),
  },
  {
    what: "counts on erasure coding that is not well",
    flavour: "sickCode",
    deps: (deps) => ({ ...deps, ecHealth: () => Promise.resolve({ parityShards: 2, healthy: true }) }),
  },
  {
    what: "does not count the copies that would be left",
    flavour: "sickCode",
    rules: { whyNotLower: () => undefined },
  },
  {
    what: "takes whatever is listed for complete",
    flavour: "quiet",
    deps: (deps) => onVolume(deps, (volume) => seeingWell(volume)),
  },
];

/** The cordon alone is thought to decide who goes. */
function onCordonedNodes({ volume, cordonedNodes }: VictimQuestion): string[] {
  return volume.replicas.filter(({ node }) => cordonedNodes.has(node ?? "")).map(({ uuid }) => uuid);
}

/** What it writes is kept in the process alone, until the end. */
function skippingJournal(deps: MigrationDeps): MigrationDeps {
  const kept = new Map<string, unknown>();
  const { store } = deps;
  return {
    ...deps,
    store: {
      ...store,
      get: async (kind, name) => {
        const found = await store.get(kind, name);
        const status = kept.get(name) as NonNullable<typeof found>["status"];
        return found === undefined || status === undefined ? found : { ...found, status };
      },
      updateStatus: async (kind, object) => {
        const { name } = object.metadata;
        if ((object.status as { outcome?: unknown } | undefined)?.outcome !== undefined) {
          return await store.updateStatus(kind, object);
        }
        kept.set(name, object.status);
        return object;
      },
    },
  };
}

/** Outcomes of changes are taken for others. */
function rewriting(deps: MigrationDeps, rewrite: (outcome: WriteOutcome) => WriteOutcome): MigrationDeps {
  return { ...deps, mayastor: around(deps.mayastor, (result) => (isOutcome(result) ? rewrite(result) : result)) };
}

/** A replica that was not among those decided to move is taken for one on a wanted pool. */
function seeingWanted(deps: MigrationDeps): MigrationDeps {
  return onVolume(deps, async (volume) => {
    const all = [];
    for await (const { items } of deps.store.pages(migrationKind)) all.push(...items);
    const found = all.find(({ spec }) => spec.volumeUuid === volume.spec.uuid);
    if (found === undefined) return volume;
    const before = new Set(found.spec.replicas.map(({ replicaUuid }) => replicaUuid));
    const wanted = found.spec.replicas.flatMap(({ toPools }) => toPools);
    for (const [uuid, replica] of Object.entries(volume.state.replica_topology)) {
      if (!before.has(uuid) && !wanted.includes(replica.pool ?? "")) replica.pool = wanted[0];
    }
    return volume;
  });
}

/** Every replica that is there is complete, and so is the volume. */
function seeingWell(volume: MayastorVolume): MayastorVolume {
  volume.state.status = "Online";
  for (const replica of Object.values(volume.state.replica_topology)) {
    Object.assign(replica, { state: "Online", "child-status": "Online", healthy: true });
    delete replica["rebuild-progress"];
  }
  for (const child of volume.state.target?.children ?? []) {
    child.state = "Online";
    delete child.rebuildProgress;
  }
  if (volume.state.target) volume.state.target.state = "Online";
  return volume;
}

function onVolume(
  deps: MigrationDeps,
  change: (volume: MayastorVolume) => MayastorVolume | Promise<MayastorVolume>,
): MigrationDeps {
  const mayastor = around(deps.mayastor, (result, name) =>
    name === "volume" && result !== undefined ? change(result as MayastorVolume) : result,
  );
  return { ...deps, mayastor };
}

function around(client: MayastorClient, change: (result: unknown, name: string | symbol) => unknown): MayastorClient {
  return new Proxy(client, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => await change(await value.apply(target, args), name);
    },
  });
}

function isOutcome(result: unknown): result is WriteOutcome {
  return typeof result === "object" && result !== null && "kind" in result && ("message" in result || "body" in result);
}
