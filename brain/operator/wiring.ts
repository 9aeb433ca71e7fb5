/** The composition root of a brain in Kubernetes: what every such brain runs, and what only the leader does. */
import { join } from "node:path";
import { PeerCredentials } from "@couchestor/common/tls/peer-credentials.ts";
import { WatchedTls } from "@couchestor/common/tls/reload.ts";
import { httpAgents } from "../http/agent-client.ts";
import { type ListenerUrls, logFailure } from "../http/listeners.ts";
import { KubeClient } from "../kube/client.ts";
import { findCluster } from "../kube/credentials.ts";
import { KubeTransport } from "../kube/transport.ts";
import { MayastorClient } from "../mayastor/client.ts";
import { kubeLeaseStore } from "../runtime/kube-lease.ts";
import { LeaderElection } from "../runtime/leader-election.ts";
import type { Leadership } from "../runtime/leadership.ts";
import { Manager, type ManagerEnd, type Part } from "../runtime/manager.ts";
import { prometheusPolicy } from "../tiering/prometheus-api.ts";
import { PrometheusHeat } from "../tiering/prometheus-heat.ts";
import { WebhookServer } from "../webhook/server.ts";
import { AuditLog } from "./audit-log.ts";
import { cacheStates, cachesPart, makeCaches } from "./caches.ts";
import { type OperatorConfig, warningsOf } from "./config.ts";
import { type TermApps, termApps } from "./leader-apps.ts";
import { LeaderEndpoints } from "./leader-endpoints.ts";
import { listenersPart } from "./listening.ts";
import { OperatorMetrics } from "./metrics.ts";
import { makeRelays, type OperatorDeps, type OperatorParts } from "./parts.ts";
import { Readiness } from "./readiness.ts";
import { type OperatorTimes, operatorTimes } from "./settings.ts";
import { LeaderTerm } from "./term.ts";
import { admissionFacts } from "./webhook-facts.ts";

export interface RunningOperator {
  readonly urls: ListenerUrls;
  /** Resolves when everything has ended; `stuck`: something of an ended term still runs, and the process must end. Rejects if the start fails. */
  readonly whenEnded: Promise<ManagerEnd>;
  stop(): Promise<ManagerEnd>;
}

/** Starts a brain on the cluster that the configuration names; returns when it listens. Throws what the flags or credentials got wrong. */
export async function startOperator(
  config: OperatorConfig,
  deps: OperatorDeps,
  times: OperatorTimes = operatorTimes,
): Promise<RunningOperator> {
  const { clock, logger } = deps;
  const tls = {
    cluster: new WatchedTls(config.brain.clusterTls),
    admin: new WatchedTls(config.brain.adminTls),
    peers: new WatchedTls(config.brain.peerTls),
  };
  await Promise.all(Object.values(tls).map((one) => one.look()));
  const state: OperatorState = { clusterUrl: "", term: undefined, apps: undefined };
  const parts = await makeParts(config, deps, { times, peers: tls.peers, state });
  const { access } = parts.client.transport;
  const namespace = config.namespace ?? access.namespace;
  const election = new LeaderElection(
    { ...deps, store: kubeLeaseStore(parts.client, { namespace, name: config.leaseName }) },
    { name: config.identity, times: times.lease, absentMeansNew: times.absentMeansNew ?? false },
  );
  const readiness = readinessOf(parts, state, () => election.leader);
  const listening = Promise.withResolvers<ListenerUrls>();
  const listeners = listenersPart(parts, {
    apps: () => state.apps,
    tls,
    readiness,
    leader: () => election.leader,
    started: (urls) => {
      state.clusterUrl = urls.cluster;
      listening.resolve(urls);
    },
  });
  const manager = new Manager(
    { clock, logger, election },
    {
      always: [cachesPart(parts.caches), ...webhookPart(parts), listeners],
      whileLeader: (leadership) => leaderParts(parts, state, leadership),
    },
  );
  logger.info({ server: access.server, credentials: access.source, namespace, ...settingsOf(config) }, "starting");
  for (const warning of warningsOf(config)) logger.warn({}, warning);
  const stop = new AbortController();
  const whenEnded = manager.run(stop.signal);
  const urls = await Promise.race([listening.promise, whenEnded.then(() => Promise.reject(new Error("it ended")))]);
  return {
    urls,
    whenEnded,
    stop: () => {
      readiness.stop();
      stop.abort();
      return whenEnded;
    },
  };
}

/** What lives as long as the process. */
async function makeParts(
  config: OperatorConfig,
  deps: OperatorDeps,
  own: { times: OperatorTimes; peers: WatchedTls; state: OperatorState },
): Promise<OperatorParts> {
  const { clock, prng, logger } = deps;
  const { kubeconfig, context, serviceAccountDir } = config;
  const dir = serviceAccountDir === undefined ? {} : { serviceAccountDir };
  const access = await findCluster({ clock, kubeconfig, context, ...dir });
  const credentials = await peerCredentials(config, logger);
  let metrics: OperatorMetrics | undefined;
  const transport = new KubeTransport({ access, clock, prng, onAttempt: (attempt) => metrics?.requested(attempt) });
  const client = new KubeClient(transport);
  const caches = makeCaches({ client, clock, prng, logger });
  const { heatTtlMs } = own.times;
  const parts: OperatorParts = {
    config,
    deps,
    client,
    caches,
    relays: makeRelays(caches),
    credentials,
    mayastor: new MayastorClient({ url: config.mayastorUrl, ...shown(credentials.mayastor) }),
    heat: new PrometheusHeat(clock, {
      url: config.prometheusUrl,
      metrics: config.heatMetrics,
      policy: { ...prometheusPolicy, timeoutMs: config.prometheusTimeoutMs },
      ...shown(credentials.prometheus),
      ...(heatTtlMs === undefined ? {} : { ttlMs: heatTtlMs }),
    }),
    agents: httpAgents(() => own.peers.material),
    metrics: () => metrics as OperatorMetrics,
    audit: new AuditLog(deps, { file: config.auditLogFile, identity: config.identity }),
  };
  metrics = metricsFor(parts, own.state);
  countMigrations(parts, metrics);
  return parts;
}

/** What the brain shows to Prometheus and to Mayastor. Throws what is wrong with their files. */
async function peerCredentials(config: OperatorConfig, logger: OperatorDeps["logger"]) {
  const { prometheusUrl, prometheusFiles, mayastorUrl, mayastorFiles } = config;
  const credentials = {
    prometheus: new PeerCredentials("Prometheus", prometheusFiles),
    mayastor: new PeerCredentials("Mayastor", mayastorFiles),
  };
  await Promise.all(Object.values(credentials).map((one) => one.look()));
  for (const [url, { tokenFile }] of [[prometheusUrl, prometheusFiles] as const, [mayastorUrl, mayastorFiles] as const])
    if (tokenFile !== undefined && !url.startsWith("https:"))
      logger.warn({ url }, "a token is sent over plain HTTP, where whoever is on the way can read it: use https://");
  return credentials;
}

function shown(credentials: PeerCredentials) {
  return { tls: () => credentials.tls(), headers: () => credentials.headers() };
}

/** The parts of one term; it is served when all of them run, and no longer when the first of them stops. */
function leaderParts(parts: OperatorParts, state: OperatorState, leadership: Leadership): Part[] {
  const term = new LeaderTerm(parts, leadership);
  const apps = termApps(term, (error) => logFailure(parts.deps.logger, error));
  const serving: Part = {
    name: "serving",
    start: () => void Object.assign(state, { term, apps }),
    stop: () => void Object.assign(state, { term: undefined, apps: undefined }),
  };
  return [...term.parts(), serving, ...endpointsPart(parts, state, leadership)];
}

/** Agents are led here once they are answered here. */
function endpointsPart({ config, client, deps }: OperatorParts, state: OperatorState, leadership: Leadership): Part[] {
  if (config.leaderEndpoints === undefined) return [];
  const namespace = config.namespace ?? client.transport.access.namespace;
  const place = { ...config.leaderEndpoints, namespace, pod: config.identity };
  return [new LeaderEndpoints({ ...deps, client, leadership }, place, () => Number(new URL(state.clusterUrl).port))];
}

interface OperatorState {
  /** Where agents are answered; known before the first term. */
  clusterUrl: string;
  term: LeaderTerm | undefined;
  apps: TermApps | undefined;
}

function settingsOf({ prometheusUrl, mayastorUrl, dryRun, preservationMode, maxConcurrentMigrations }: OperatorConfig) {
  return { prometheusUrl, mayastorUrl, dryRun, preservationMode, maxConcurrentMigrations };
}

function metricsFor({ caches }: OperatorParts, state: OperatorState): OperatorMetrics {
  return new OperatorMetrics({
    isLeader: () => state.term !== undefined,
    caches: () => cacheStates(caches),
    queues: () =>
      (state.term?.controllers ?? []).map(({ name, queueStats }) => ({ controller: name, stats: queueStats })),
    activeMigrations: () =>
      caches.migrations.synced
        ? [...caches.migrations.values()].filter(({ result }) => result === undefined).length
        : undefined,
    stripes: () => (caches.stripes.synced ? state.term && Object.fromEntries(state.term.tally.totals()) : undefined),
    report: () => state.term?.tiering.latest,
    droppedEvents: () => state.term?.events.dropped ?? 0,
  });
}

function countMigrations({ caches }: OperatorParts, metrics: OperatorMetrics): void {
  caches.migrations.addHandler({
    updated: (now, before) => {
      if (now.result !== undefined && before.result === undefined) metrics.migrationEnded(now.result);
    },
  });
}

function readinessOf(parts: OperatorParts, state: OperatorState, leader: () => string): Readiness {
  const { deps, caches, client, heat } = parts;
  return new Readiness({
    clock: deps.clock,
    caches: () => cacheStates(caches),
    pingApiServer: async (signal) => {
      await client.transport.request({ method: "GET", path: "/readyz", signal, attemptsMax: 1 });
    },
    pingPrometheus: (signal) => heat.ping(signal),
    leader: () => (state.term === undefined ? leader() || "nobody" : "this brain"),
    troubles: () => {
      const brain = state.term?.brain.readiness();
      return brain === undefined || brain.ready
        ? []
        : Object.entries(brain.checks).map(([name, check]) => `${name}: ${check}`);
    },
  });
}

function webhookPart(parts: OperatorParts): Part[] {
  const { config, deps, client, caches, metrics } = parts;
  const { webhook } = config;
  if (webhook === undefined) return [];
  const { certDir, configuration, hosts } = webhook;
  const files = (dir: string) => ({
    certFile: join(dir, "tls.crt"),
    keyFile: join(dir, "tls.key"),
    caFiles: [join(dir, "ca.crt")],
  });
  const certificates =
    certDir === undefined
      ? { from: "self" as const, client, configuration, hosts }
      : { from: "files" as const, files: files(certDir) };
  const onReview = (outcome: { kind: string; allowed: boolean }) => metrics().reviewed(outcome);
  return [
    new WebhookServer({ ...deps, facts: admissionFacts(caches), onReview }, { address: webhook.listen, certificates }),
  ];
}
