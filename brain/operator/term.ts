/**
 * What runs while this brain leads: the embedded brain over the Kubernetes store, tiering, the policies' statuses, and events. All of it is
 * made for one term. Each write and each order to an agent asks the term's leadership right before it leaves, so that what an ended term
 * still does comes to nothing.
 */
import type { ErasureCodingPolicy } from "@couchestor/common/crd/erasure-coding-policy.ts";
import { migrationKind } from "@couchestor/common/crd/migration.ts";
import { apiVersion, type Resource } from "@couchestor/common/crd/object.ts";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { Brain } from "../brain.ts";
import type { Route } from "../http/route-table.ts";
import { EventRecorder } from "../kube/events.ts";
import { KubeStore } from "../kube/kube-store.ts";
import type { KubeObject } from "../kube/objects.ts";
import type { MigrationNews } from "../migration/ports.ts";
import { erasureCodingPolicyController } from "../policies/erasure-coding-policy-controller.ts";
import { StripeTally, type TalliedStripe, type TalliedVolume } from "../policies/stripe-tally.ts";
import type { AgentPort } from "../ports.ts";
import type { Controller, ControllerDeps, Source } from "../runtime/controller.ts";
import type { Leadership } from "../runtime/leadership.ts";
import type { Part } from "../runtime/manager.ts";
import { tieringController } from "../tiering/controller.ts";
import type { Plan, PlanEntry } from "../tiering/model.ts";
import { whyNotBegin } from "../tiering/policy-input.ts";
import type { Tiering } from "../tiering/reconcile.ts";
import { WholeVolumes } from "../volumes/whole.ts";
import { conditionEvents, conditionsOf } from "./condition-events.ts";
import { migrationRoutes } from "./migration-routes.ts";
import { migrationWork } from "./migration-work.ts";
import { MoveTeller } from "./move-events.ts";
import type { OperatorParts } from "./parts.ts";
import { tieringWork } from "./tiering-work.ts";

const migrationObject = { apiVersion, kind: migrationKind.kind };

/** The events' reportingController. */
export const eventController = "storage.billyronks.io/brain";

export class LeaderTerm {
  readonly brain: Brain;
  readonly tiering: Tiering;
  readonly tally = new StripeTally();
  readonly events: EventRecorder;
  readonly controllers: Controller[];
  readonly #parts: OperatorParts;
  readonly #leadership: Leadership;
  readonly #store: KubeStore;
  readonly #moves = new MoveTeller();
  readonly #whole: WholeVolumes;

  constructor(parts: OperatorParts, leadership: Leadership) {
    const { deps, client, config } = parts;
    const { clock, prng, logger } = deps;
    this.#parts = parts;
    this.#leadership = leadership;
    this.#store = new KubeStore({ ...deps, client, guard: leadership });
    this.events = new EventRecorder(
      { client, clock, prng, logger },
      { controller: eventController, instance: config.identity },
    );
    this.brain = new Brain(
      {
        store: this.#store,
        clock,
        prng,
        log: logger,
        agents: guardedAgents(parts.agents, leadership),
        instanceUuid: prng.uuid(),
      },
      config.brain.options,
    );
    this.#whole = new WholeVolumes(this.brain.services);
    this.tiering = tieringWork(parts, {
      store: this.#store,
      leadership,
      whole: this.#whole,
      decided: (entry, policy, migration) => this.#tellDecided(entry, policy, migration),
    });
    this.controllers = [this.#tieringController(), this.#codingController(), this.#migrationController()];
  }

  /** In the order in which they start; they stop the other way round. */
  parts(): Part[] {
    return [
      { name: "store", start: () => undefined, stop: () => this.#store.close() },
      { name: "audit-log", start: () => undefined, stop: () => this.#parts.audit.flush() },
      { name: "events", start: () => this.#tellTransitions(), stop: () => this.events.stop() },
      { name: "brain", start: () => this.brain.start(), stop: () => this.brain.stop(), stopMsMax: brainStopMsMax },
      ...this.controllers,
    ];
  }

  /** For the admin API. */
  migrationRoutes(): Route[] {
    const { audit } = this.#parts;
    return migrationRoutes({ store: this.#store, aborted: (name, volume) => audit.aborted(name, volume) });
  }

  #controllerDeps(name: string): ControllerDeps {
    const { clock, prng, logger } = this.#parts.deps;
    return { clock, prng, logger, onReconcile: (outcome) => this.#parts.metrics().reconciled(name, outcome) };
  }

  #tieringController(): Controller {
    const { relays, config } = this.#parts;
    const { signal } = this.#leadership;
    return tieringController(
      this.#controllerDeps("tiering"),
      this.tiering,
      {
        policies: relays.policies.during(signal),
        volumes: relays.volumes.during(signal),
        claims: relays.claims.during(signal),
        migrations: relays.migrations.during(signal),
      },
      {
        everyMs: config.reconcileEveryMs,
        mayAct: () => this.#leadership.assertLeader(),
        onReport: ({ plan }) => this.#tellMoves(plan),
      },
    );
  }

  #migrationController(): Controller {
    const { relays, caches, deps, mayastor, config } = this.#parts;
    const leadership = this.#leadership;
    const known = () => [...caches.migrations.values()].map((migration) => migration.known);
    return migrationWork(
      {
        deps,
        store: this.#store,
        mayastor,
        leadership,
        whole: this.#whole,
        settings: config.migration,
        dryRun: config.dryRun,
        whyNotBegin: (policy) => whyNotBegin(policy, known(), deps.clock.wallMs()),
        tell: (news) => this.#tellNews(news),
        metrics: {
          ended: (end) => this.#parts.metrics().carriedOut.ended(end),
          called: (call) => this.#parts.metrics().carriedOut.called(call),
        },
      },
      this.#controllerDeps("migration"),
      relays.migrations.during(leadership.signal),
    );
  }

  #codingController(): Controller {
    const { relays, caches, deps } = this.#parts;
    const { signal } = this.#leadership;
    const policies = relays.codingPolicies.during(signal);
    const parts = {
      store: this.#store,
      clock: deps.clock,
      tally: this.tally,
      policies: { ...policies, get: (name: string) => caches.codingPolicies.get(name) },
      volumes: relays.ecVolumes.during(signal) as Source<TalliedVolume>,
      stripes: relays.stripes.during(signal) as Source<TalliedStripe>,
    };
    return erasureCodingPolicyController(this.#controllerDeps("erasure-coding-policy"), parts, {
      mayAct: () => this.#leadership.assertLeader(),
    });
  }

  /** What was decided, for the audit log; `kubectl describe` shows it as ShouldMove. */
  #tellDecided(entry: PlanEntry, policy: StoragePolicy, migration: string): void {
    this.#parts.audit.decided(entry, policy, migration);
  }

  /** What happens to a migration, on itself and on its policy. */
  #tellNews(news: MigrationNews): void {
    const { caches, audit } = this.#parts;
    audit.news(news);
    const { type, reason, note } = news;
    const text = { type, reason, action: "Migrate", note };
    const migration = caches.migrations.get(news.migration);
    if (migration !== undefined) this.events.record({ ...migrationObject, metadata: migration.metadata }, text);
    const policy = news.policyRef === undefined ? undefined : caches.policies.get(news.policyRef);
    if (policy !== undefined)
      this.events.record(policy as unknown as KubeObject, { ...text, note: `${news.volumeName}: ${note}` });
  }

  #tellMoves(plan: Plan | undefined): void {
    for (const { policyName, text } of this.#moves.news(plan)) {
      const policy = this.#parts.caches.policies.get(policyName);
      if (policy !== undefined) this.events.record(policy as unknown as KubeObject, text);
    }
  }

  #tellTransitions(): void {
    const { relays } = this.#parts;
    const tell = (object: Resource, before: Resource) => {
      if (object === before || !this.#leadership.isLeader()) return;
      const regarding = object as unknown as KubeObject;
      for (const text of conditionEvents(conditionsOf(before), conditionsOf(object)))
        this.events.record(regarding, text);
    };
    relays.policies
      .during(this.#leadership.signal)
      .addHandler({ updated: (a: StoragePolicy, b: StoragePolicy) => tell(a, b) });
    relays.codingPolicies
      .during(this.#leadership.signal)
      .addHandler({ updated: (a: ErasureCodingPolicy, b: ErasureCodingPolicy) => tell(a, b) });
    this.brain.services.inventory.onStored(tell);
  }
}

/** Acts that are being committed are waited for. */
const brainStopMsMax = 15_000;

/** Agents that take no more orders from a brain that doesn't lead any more. */
export function guardedAgents(agents: AgentPort, leadership: Pick<Leadership, "assertLeader">): AgentPort {
  const guarded =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      leadership.assertLeader();
      return await call(...args);
    };
  return {
    startAct: guarded((url, task) => agents.startAct(url, task)),
    cancelAct: guarded((url, key) => agents.cancelAct(url, key)),
    deleteChunks: guarded((url, pool, request) => agents.deleteChunks(url, pool, request)),
    verifyChunks: guarded((url, pool, names) => agents.verifyChunks(url, pool, names)),
    listChunks: guarded((url, pool, page) => agents.listChunks(url, pool, page)),
  };
}
