/** The flags of a brain that keeps its objects in Kubernetes, and their twins in the environment. */
import { parseArgs } from "node:util";
import { type BrainFlagValues, brainFlags } from "../config.ts";
import { mayastorMetrics } from "../tiering/heat-queries.ts";

/** What an administrator may allow, as flags name it. */
export const allowances = [
  "snapshots",
  "label-steering",
  "shrink-then-grow",
  "shrink-two-replicas",
  "ambiguous-placement",
  "offline-rebuild",
] as const;
export type Allowance = (typeof allowances)[number];

const text = { type: "string" } as const;
const { "metrics-listen": _, "health-listen": __, "log-level": ___, "log-format": ____, ...shared } = brainFlags;

/** Flags with a twin in the environment: the flag's name in capitals, with underscores. The flag wins. */
export const twins = {
  "prometheus-url": "http://prometheus.monitoring.svc.cluster.local:9090",
  "max-concurrent-migrations": "2",
  "migration-timeout-minutes": "30",
  "sync-poll-interval-seconds": "10",
  "settle-time": "36s",
  "max-rebuilds": "10",
  "migration-bytes-per-second": "",
  "migration-allow": "",
  "audit-log": "",
  "dry-run": "false",
  "preservation-mode": "false",
  "mayastor-namespace": "mayastor",
  "mayastor-url": "",
  "prometheus-timeout": "20s",
  "prometheus-read-metrics": mayastorMetrics.reads.join(","),
  "prometheus-write-metrics": mayastorMetrics.writes.join(","),
  "prometheus-selector": "",
  "prometheus-token-file": "",
  "prometheus-ca": "",
  "prometheus-cert": "",
  "prometheus-key": "",
  "mayastor-token-file": "",
  "mayastor-ca": "",
  "mayastor-cert": "",
  "mayastor-key": "",
  "leader-endpoints": "",
  "metrics-addr": ":8080",
  "health-addr": ":8081",
  "webhook-listen": "",
  "log-level": "info",
  "log-json": "false",
} as const;
export type Twin = keyof typeof twins;
const switches: readonly string[] = ["dry-run", "preservation-mode", "log-json"] satisfies Twin[];

const flags = {
  ...shared,
  ...(Object.fromEntries(Object.keys(twins).map((name) => [name, text])) as Record<Twin, typeof text>),
  "metrics-listen": text,
  "health-listen": text,
  "log-format": text,
  kubeconfig: text,
  context: text,
  "service-account-dir": text,
  namespace: text,
  "lease-name": { ...text, default: "couchestor-brain" },
  identity: text,
  "advertise-address": text,
  "reconcile-every": { ...text, default: "30s" },
  "webhook-cert-dir": text,
  "webhook-configuration": { ...text, default: "couchestor" },
  "webhook-host": { ...text, multiple: true as const },
} as const;

export type OperatorFlagValues = BrainFlagValues & {
  [K in Exclude<keyof typeof flags, "webhook-host">]?: string | undefined;
} & {
  "webhook-host"?: string[];
};

/** The values given; what parsing finds wrong is added to `problems`. `--dry-run` alone means `--dry-run=true`. */
export function flagValues(argv: readonly string[], problems: string[]): OperatorFlagValues {
  const args = argv.map((arg) => (switches.includes(arg.replace(/^--/, "")) ? `${arg}=true` : arg));
  try {
    return parseArgs({ args, options: flags, strict: true, allowPositionals: false })
      .values as unknown as OperatorFlagValues;
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return parseArgs({ args, options: flags, strict: false }).values as unknown as OperatorFlagValues;
  }
}

/** The flag's twin in the environment. */
export function envName(name: string): string {
  return name.toUpperCase().replaceAll("-", "_");
}

/** A flag as messages name it. */
export function named(name: Twin): string {
  return `--${name} (${envName(name)})`;
}

export const operatorUsage = `couchestor brain --store kubernetes [flags]

  --kubeconfig FILE --context NAME   the cluster (KUBECONFIG, then the pod's service account, then ~/.kube/config)
  --service-account-dir DIR token, ca.crt and namespace of a pod (where Kubernetes puts them)
  --namespace NAME          of the lease (POD_NAMESPACE, then that of the credentials)
  --lease-name couchestor-brain      brains with the same lease take turns
  --identity NAME           of this brain in lease and events (POD_NAME, then the host name)
  --leader-endpoints SERVICE         the leader writes its address into this Service's EndpointSlices (LEADER_ENDPOINTS; none without it)
  --advertise-address IP    the address that it writes (POD_IP)
  --prometheus-url URL      where heat comes from (PROMETHEUS_URL, ${twins["prometheus-url"]})
  --prometheus-timeout 20s  of one question to it; an answer that is later counts as none (PROMETHEUS_TIMEOUT)
  --mayastor-url URL        its REST API (MAYASTOR_URL, from the namespace)   --mayastor-namespace mayastor (MAYASTOR_NAMESPACE)
  --prometheus-read-metrics NAMES --prometheus-write-metrics NAMES
                            the counters of operations, best first, the next for volumes that lack the one before
                            (PROMETHEUS_READ_METRICS ${twins["prometheus-read-metrics"]}, PROMETHEUS_WRITE_METRICS ${twins["prometheus-write-metrics"]})
  --prometheus-selector 'cluster="a"'   narrows all of them down, where several clusters share a Prometheus (PROMETHEUS_SELECTOR)
  --prometheus-token-file FILE --prometheus-ca FILE --prometheus-cert FILE --prometheus-key FILE
  --mayastor-token-file FILE --mayastor-ca FILE --mayastor-cert FILE --mayastor-key FILE
                            a bearer token, the CA to trust instead of the system's, a client certificate; read again when they
                            change (PROMETHEUS_TOKEN_FILE, PROMETHEUS_CA, PROMETHEUS_CERT, PROMETHEUS_KEY; MAYASTOR_…)
  --max-concurrent-migrations 2      of all policies together (MAX_CONCURRENT_MIGRATIONS)
  --migration-timeout-minutes 30     (MIGRATION_TIMEOUT_MINUTES)   --sync-poll-interval-seconds 10 (SYNC_POLL_INTERVAL_SECONDS)
  --settle-time 36s         what was asked of Mayastor counts as settled when reads were equal for longer; more than its cache and deadlines; less than 36s is for tests (SETTLE_TIME)
  --max-rebuilds 10         replicas filled at once (MAX_REBUILDS)
  --migration-bytes-per-second 200MiB   of all policies: a migration begins when those before it would be through at this rate
                            (MIGRATION_BYTES_PER_SECOND; no limit without it; a rebuild itself can't be slowed down)
  --migration-allow WORDS   lifts refusals, with commas between: ${allowances.join(", ")} (MIGRATION_ALLOW)
  --audit-log FILE          who decided what and why, as JSON lines (AUDIT_LOG; none without it)
  --dry-run                 decide, show, and move nothing (DRY_RUN=true)
  --preservation-mode       old replicas are kept (PRESERVATION_MODE=true)
  --reconcile-every 30s     how often heat is looked at
  --metrics-addr :8080      (METRICS_ADDR)   --health-addr :8081 (HEALTH_ADDR)
  --webhook-listen HOST:PORT  answers admission reviews (WEBHOOK_LISTEN; none without it)
  --webhook-cert-dir DIR    tls.crt, tls.key, ca.crt of cert-manager; without it the brain makes its own
  --webhook-configuration couchestor --webhook-host NAME…   what it keeps the bundle of, and what it is called
  --log-level info (LOG_LEVEL)   --log-json (LOG_JSON=true)
  --data-dir DIR            where endpoint.json is written (none without it)

and all flags of \`couchestor brain --help\` for agents, repair, scrubs, sweeps and TLS`;
