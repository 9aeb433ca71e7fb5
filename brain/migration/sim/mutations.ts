/**
 * Wrong movers. Each differs from the right one in one judgement, and each must be caught: a check that never fires proves nothing.
 * They are made here, of the rules that the mover takes; nothing that ships can be switched to any of them.
 */
import type { WriteOutcome } from "../../mayastor/outcome.ts";
import type { MigrationDeps } from "../ports.ts";
import { type MoverRules, soundRules } from "../rules.ts";

export interface Mutation {
  /** What is wrong with it. */
  what: string;
  rules?: Partial<MoverRules>;
  deps?: (deps: MigrationDeps) => MigrationDeps;
}

export const mutations: readonly Mutation[] = [
  {
    what: "trusts one read of which replicas there are",
    rules: { settled: (settle, of, settings) => of === "shape" || soundRules.settled(settle, of, settings) },
  },
  {
    what: "trusts one read of how they are",
    rules: { settled: (settle, of, settings) => of === "health" || soundRules.settled(settle, of, settings) },
  },
  { what: "waits for no read at all", rules: { settled: () => true } },
  {
    what: "settles within three seconds",
    rules: {
      settled: (settle, of, settings) =>
        soundRules.settled(settle, of, { ...settings, settleMs: 3_000, settleReadsMin: 1 }),
    },
  },
  {
    what: "takes for the new replica whichever was not there before",
    rules: { newcomer: (volume, before) => volume.replicas.find(({ uuid }) => !before.includes(uuid)) },
  },
  {
    what: "takes any replica on a wanted pool for the new one",
    rules: {
      newcomer: (volume, _, wanted) => volume.replicas.find(({ pool }) => wanted.has(pool ?? "")) ?? volume.replicas[0],
    },
  },
  {
    what: "lowers the count before the new replica is complete",
    rules: { unsoundness: () => undefined, whyNotLower: () => undefined },
  },
  { what: "does not count the copies that would be left", rules: { whyNotLower: () => undefined } },
  { what: "sets no cordon at all", rules: { steering: () => [] } },
  {
    what: "does not steer which replica leaves",
    rules: { steering: (items) => items.filter(({ kind }) => kind !== "NodeCordon") },
  },
  { what: "forgets one of the cordons", rules: { steering: (items) => items.slice(1) } },
  { what: "takes cordons of others for its own", rules: { isForeign: () => false } },
  { what: "takes its own cordons for those of others", rules: { isForeign: () => true } },
  { what: "takes back before what it set can have come", rules: { mayTakeBack: () => true } },
  { what: "never takes back", rules: { mayTakeBack: () => false } },
  { what: "skips the journal", deps: skippingJournal },
  {
    what: "takes no answer for done",
    deps: (deps) =>
      rewriting(deps, (outcome) => (outcome.kind === "unknown" ? { kind: "done", body: undefined } : outcome)),
  },
  {
    what: "takes no answer for refused",
    deps: (deps) =>
      rewriting(deps, (outcome) =>
        outcome.kind === "unknown" ? { kind: "refused", why: "precondition", message: outcome.message } : outcome,
      ),
  },
  {
    what: "counts on erasure coding that is not well",
    deps: (deps) => ({ ...deps, ecHealth: () => Promise.resolve({ parityShards: 2, healthy: true }) }),
  },
];

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
  const mayastor = new Proxy(deps.mayastor, {
    get: (client, name) => {
      const value: unknown = Reflect.get(client, name, client);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        const result: unknown = await value.apply(client, args);
        return isOutcome(result) ? rewrite(result) : result;
      };
    },
  });
  return { ...deps, mayastor };
}

function isOutcome(result: unknown): result is WriteOutcome {
  return typeof result === "object" && result !== null && "kind" in result && "message" in result;
}
