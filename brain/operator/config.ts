/** Flags of a brain that keeps its objects in Kubernetes, each with its twin in the environment. All problems are told at once. */
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { type ListenAddress, parseListenAddress } from "@couchestor/common/http/listener.ts";
import { parseDuration } from "@couchestor/common/units/duration.ts";
import { type BrainConfig, type BrainFlagValues, brainConfigOf, brainFlags, invalidFlags } from "../config.ts";

type Env = Readonly<Record<string, string | undefined>>;

export interface WebhookConfig {
  listen: ListenAddress;
  /** Folder with tls.crt, tls.key and ca.crt; without one the brain makes its own certificates. */
  certDir: string | undefined;
  /** The ValidatingWebhookConfiguration to be told of them. */
  configuration: string;
  /** Names that the API server calls. */
  hosts: string[];
}

export interface OperatorConfig {
  /** What every brain has; `dataDir` is empty when no endpoint file is wanted. */
  brain: BrainConfig;
  kubeconfig: string | undefined;
  context: string | undefined;
  /** Where a pod's credentials are; undefined: where Kubernetes puts them. */
  serviceAccountDir: string | undefined;
  /** Of the lease; undefined: that of the credentials. */
  namespace: string | undefined;
  leaseName: string;
  /** Of this process in the lease and in events. */
  identity: string;
  prometheusUrl: string;
  mayastorUrl: string;
  maxConcurrentMigrations: number;
  migrationTimeoutMs: number;
  syncPollIntervalMs: number;
  dryRun: boolean;
  preservationMode: boolean;
  /** How often heat is looked at when nothing changes. */
  reconcileEveryMs: number;
  /** Undefined: no webhook. */
  webhook: WebhookConfig | undefined;
}

const text = { type: "string" } as const;
const { "metrics-listen": _, "health-listen": __, "log-level": ___, "log-format": ____, ...shared } = brainFlags;

/** Flags with a twin in the environment: the flag's name in capitals, with underscores. The flag wins. */
const twins = {
  "prometheus-url": "http://prometheus.monitoring.svc.cluster.local:9090",
  "max-concurrent-migrations": "2",
  "migration-timeout-minutes": "30",
  "sync-poll-interval-seconds": "10",
  "dry-run": "false",
  "preservation-mode": "false",
  "mayastor-namespace": "mayastor",
  "mayastor-url": "",
  "metrics-addr": ":8080",
  "health-addr": ":8081",
  "webhook-listen": "",
  "log-level": "info",
  "log-json": "false",
} as const;
type Twin = keyof typeof twins;
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
  "reconcile-every": { ...text, default: "30s" },
  "webhook-cert-dir": text,
  "webhook-configuration": { ...text, default: "couchestor" },
  "webhook-host": { ...text, multiple: true as const },
} as const;

type Values = BrainFlagValues & { [K in Exclude<keyof typeof flags, "webhook-host">]?: string | undefined } & {
  "webhook-host"?: string[];
};

/** Parses flags and environment. Throws one `InvalidArgument` that lists every problem. */
export function parseOperatorConfig(argv: readonly string[], env: Env = process.env): OperatorConfig {
  const problems: string[] = [];
  const values = flagValues(argv, problems);
  const twin = (name: Twin): string => values[name] ?? env[envName(name)] ?? twins[name];
  const checked = new Checks(problems, twin);
  const namespace = values.namespace ?? env["POD_NAMESPACE"];
  const config: OperatorConfig = {
    brain: brainConfigOf(
      {
        ...values,
        "metrics-listen": values["metrics-listen"] ?? twin("metrics-addr"),
        "health-listen": values["health-listen"] ?? twin("health-addr"),
        "log-level": twin("log-level"),
        "log-format": values["log-format"] ?? (checked.boolean("log-json") ? "json" : "text"),
      },
      problems,
    ),
    kubeconfig: values.kubeconfig,
    context: values.context,
    serviceAccountDir: values["service-account-dir"],
    namespace,
    leaseName: values["lease-name"] ?? "",
    identity: values.identity ?? env["POD_NAME"] ?? hostname(),
    prometheusUrl: checked.url("prometheus-url", twin("prometheus-url")),
    mayastorUrl: checked.url("mayastor-url", twin("mayastor-url") || mayastorUrlIn(twin("mayastor-namespace"))),
    maxConcurrentMigrations: checked.whole("max-concurrent-migrations", 1, 100),
    migrationTimeoutMs: checked.whole("migration-timeout-minutes", 1, 7 * 24 * 60) * 60_000,
    syncPollIntervalMs: checked.whole("sync-poll-interval-seconds", 1, 3600) * 1000,
    dryRun: checked.boolean("dry-run"),
    preservationMode: checked.boolean("preservation-mode"),
    reconcileEveryMs: checked.duration("reconcile-every", values["reconcile-every"] ?? "", 1000, 3_600_000),
    webhook: webhookOf(values, twin("webhook-listen"), namespace ?? "default", checked),
  };
  if (problems.length > 0) throw invalidFlags(problems);
  return config;
}

/** Reads values; what is wrong with one is noted, and anything takes its place. */
class Checks {
  readonly #problems: string[];
  readonly #twin: (name: Twin) => string;

  constructor(problems: string[], twin: (name: Twin) => string) {
    this.#problems = problems;
    this.#twin = twin;
  }

  whole(name: Twin, min: number, max: number): number {
    const got = this.#twin(name);
    if (/^\d{1,9}$/.test(got) && Number(got) >= min && Number(got) <= max) return Number(got);
    this.#problems.push(`${named(name)}: got "${got}", allowed is a whole number from ${min} to ${max}`);
    return min;
  }

  boolean(name: Twin): boolean {
    const got = this.#twin(name).toLowerCase();
    if (!["true", "false", "1", "0", ""].includes(got))
      this.#problems.push(`${named(name)}: got "${got}", allowed is true or false`);
    return got === "true" || got === "1";
  }

  url(name: Twin, got: string): string {
    if (URL.canParse(got) && /^https?:$/.test(new URL(got).protocol)) return got;
    this.#problems.push(`${named(name)}: got "${got}", allowed is an http:// or https:// address`);
    return "";
  }

  duration(flag: string, got: string, minMs: number, maxMs: number): number {
    return this.take(minMs, () => {
      const ms = parseDuration(got, `--${flag}`);
      if (ms >= minMs && ms <= maxMs) return ms;
      throw new Error(`--${flag}: got ${got}, allowed is ${minMs / 1000}s to ${maxMs / 1000}s`);
    });
  }

  take<T>(fallback: T, read: () => T): T {
    try {
      return read();
    } catch (error) {
      this.#problems.push(error instanceof Error ? error.message : String(error));
      return fallback;
    }
  }
}

function webhookOf(values: Values, listen: string, namespace: string, checked: Checks): WebhookConfig | undefined {
  if (listen === "") return undefined;
  const service = `couchestor-webhook.${namespace}.svc`;
  return {
    listen: checked.take({ hostname: "", port: 0 }, () => parseListenAddress(listen, "--webhook-listen")),
    certDir: values["webhook-cert-dir"],
    configuration: values["webhook-configuration"] ?? "",
    hosts: values["webhook-host"] ?? [service, `${service}.cluster.local`],
  };
}

/** `--dry-run` alone means `--dry-run=true`. */
function flagValues(argv: readonly string[], problems: string[]): Values {
  const args = argv.map((arg) => (switches.includes(arg.replace(/^--/, "")) ? `${arg}=true` : arg));
  try {
    return parseArgs({ args, options: flags, strict: true, allowPositionals: false }).values as unknown as Values;
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return parseArgs({ args, options: flags, strict: false }).values as unknown as Values;
  }
}

/** Its chart names the service after the release, which usually is named as its namespace. */
function mayastorUrlIn(namespace: string): string {
  return `http://${namespace}-api-rest.${namespace}.svc.cluster.local:8081`;
}

function envName(name: string): string {
  return name.toUpperCase().replaceAll("-", "_");
}

function named(name: Twin): string {
  return `--${name} (${envName(name)})`;
}

export const operatorUsage = `couchestor brain --store kubernetes [flags]

  --kubeconfig FILE --context NAME   the cluster (KUBECONFIG, then the pod's service account, then ~/.kube/config)
  --service-account-dir DIR token, ca.crt and namespace of a pod (where Kubernetes puts them)
  --namespace NAME          of the lease (POD_NAMESPACE, then that of the credentials)
  --lease-name couchestor-brain      brains with the same lease take turns
  --identity NAME           of this brain in lease and events (POD_NAME, then the host name)
  --prometheus-url URL      where heat comes from (PROMETHEUS_URL, ${twins["prometheus-url"]})
  --mayastor-url URL        its REST API (MAYASTOR_URL, from the namespace)   --mayastor-namespace mayastor (MAYASTOR_NAMESPACE)
  --max-concurrent-migrations 2      of all policies together (MAX_CONCURRENT_MIGRATIONS)
  --migration-timeout-minutes 30     (MIGRATION_TIMEOUT_MINUTES)   --sync-poll-interval-seconds 10 (SYNC_POLL_INTERVAL_SECONDS)
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
