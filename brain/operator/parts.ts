/** What lives as long as the process, for what lives one term. */
import type { Logger } from "@couchestor/common/observe/logger.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { PeerCredentials } from "@couchestor/common/tls/peer-credentials.ts";
import type { KubeClient } from "../kube/client.ts";
import type { MayastorClient } from "../mayastor/client.ts";
import type { AgentPort } from "../ports.ts";
import type { PrometheusHeat } from "../tiering/prometheus-heat.ts";
import type { AuditLog } from "./audit-log.ts";
import type { Caches } from "./caches.ts";
import type { OperatorConfig } from "./config.ts";
import type { OperatorMetrics } from "./metrics.ts";
import { Relay } from "./term-sources.ts";

export interface OperatorDeps {
  clock: Clock;
  prng: Prng;
  logger: Logger;
}

export type Relays = ReturnType<typeof makeRelays>;

/** One relay for each cache that a term listens to. */
export function makeRelays(caches: Caches) {
  return {
    policies: new Relay(caches.policies),
    codingPolicies: new Relay(caches.codingPolicies),
    ecVolumes: new Relay(caches.ecVolumes),
    stripes: new Relay(caches.stripes),
    migrations: new Relay(caches.migrations),
    volumes: new Relay(caches.volumes),
    claims: new Relay(caches.claims),
  };
}

export interface OperatorParts {
  config: OperatorConfig;
  deps: OperatorDeps;
  client: KubeClient;
  caches: Caches;
  relays: Relays;
  /** What the brain shows to those two. */
  credentials: { prometheus: PeerCredentials; mayastor: PeerCredentials };
  mayastor: MayastorClient;
  heat: PrometheusHeat;
  agents: AgentPort;
  metrics: () => OperatorMetrics;
  audit: AuditLog;
}
