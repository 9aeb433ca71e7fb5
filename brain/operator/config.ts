/** Flags of a brain that keeps its objects in Kubernetes, each with its twin in the environment. All problems are told at once. */
import { isIP } from "node:net";
import { hostname } from "node:os";
import { parseListenAddress } from "@couchestor/common/http/listener.ts";
import type { ListenAddress } from "@couchestor/common/http/listener-options.ts";
import type { PeerFiles } from "@couchestor/common/tls/peer-credentials.ts";
import { formatDuration } from "@couchestor/common/units/duration.ts";
import { type BrainConfig, brainConfigOf, invalidFlags } from "../config.ts";
import { type MigrationSettings, migrationSettings } from "../migration/settings.ts";
import type { HeatMetrics } from "../tiering/heat-queries.ts";
import { Checks } from "./flag-checks.ts";
import { allowances, envName, flagValues, named, type OperatorFlagValues, type Twin, twins } from "./flags.ts";

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
  /** The Service whose endpoint the leader is, and this brain's address there; undefined: none is kept. */
  leaderEndpoints: { service: string; address: string } | undefined;
  prometheusUrl: string;
  prometheusFiles: PeerFiles;
  prometheusTimeoutMs: number;
  heatMetrics: HeatMetrics;
  mayastorUrl: string;
  mayastorFiles: PeerFiles;
  maxConcurrentMigrations: number;
  migrationTimeoutMs: number;
  /** How migrations are carried out. */
  migration: MigrationSettings;
  /** Bytes a second that migrations of all policies may begin to copy; undefined: no limit. */
  migrationBytesPerSecond: number | undefined;
  /** Undefined: no audit log. */
  auditLogFile: string | undefined;
  dryRun: boolean;
  preservationMode: boolean;
  /** How often heat is looked at when nothing changes. */
  reconcileEveryMs: number;
  /** Undefined: no webhook. */
  webhook: WebhookConfig | undefined;
}

/** Parses flags and environment. Throws one `InvalidArgument` that lists every problem. */
export function parseOperatorConfig(argv: readonly string[], env: Env = process.env): OperatorConfig {
  const problems: string[] = [];
  const values = flagValues(argv, problems);
  const twin = (name: Twin): string => values[name] ?? env[envName(name)] ?? twins[name];
  const checked = new Checks(problems, twin);
  const namespace = values.namespace ?? env["POD_NAMESPACE"];
  const prometheusUrl = checked.url("prometheus-url", twin("prometheus-url"));
  const mayastorUrl = checked.url("mayastor-url", twin("mayastor-url") || mayastorUrlIn(twin("mayastor-namespace")));
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
    leaderEndpoints: leaderEndpointsOf(
      twin("leader-endpoints"),
      values["advertise-address"] ?? env["POD_IP"],
      problems,
    ),
    prometheusUrl,
    prometheusFiles: checked.peerFiles("prometheus", prometheusUrl),
    prometheusTimeoutMs: checked.duration("prometheus-timeout", twin("prometheus-timeout"), 1000, 120_000),
    heatMetrics: checked.heatMetrics(),
    mayastorUrl,
    mayastorFiles: checked.peerFiles("mayastor", mayastorUrl),
    maxConcurrentMigrations: checked.whole("max-concurrent-migrations", 1, 100),
    migrationTimeoutMs: checked.whole("migration-timeout-minutes", 1, 7 * 24 * 60) * 60_000,
    migration: migrationSettingsOf(checked, twin),
    migrationBytesPerSecond: checked.rate("migration-bytes-per-second"),
    auditLogFile: twin("audit-log") || undefined,
    dryRun: checked.boolean("dry-run"),
    preservationMode: checked.boolean("preservation-mode"),
    reconcileEveryMs: checked.duration("reconcile-every", values["reconcile-every"] ?? "", 1000, 3_600_000),
    webhook: webhookOf(values, twin("webhook-listen"), namespace ?? "default", checked),
  };
  if (problems.length > 0) throw invalidFlags(problems);
  return config;
}

/** What a person should know of settings that are taken all the same. */
export function warningsOf({ migration }: Pick<OperatorConfig, "migration">): string[] {
  if (migration.settleMs >= migrationSettings.settleMs) return [];
  const safe = formatDuration(migrationSettings.settleMs);
  return [
    `${named("settle-time")} is ${formatDuration(migration.settleMs)}, safe is at least ${safe}: Mayastor answers from a cache that may be 30s old, and steps of migrations may be taken on what is no longer so`,
  ];
}

const pollMsMax = 5_000;

function migrationSettingsOf(checked: Checks, twin: (name: Twin) => string): MigrationSettings {
  const allowed = new Set(checked.words("migration-allow", allowances));
  const copyPollMs = checked.whole("sync-poll-interval-seconds", 1, 3600) * 1000;
  return {
    ...migrationSettings,
    settleMs: checked.duration("settle-time", twin("settle-time"), 1_000, 600_000),
    rebuildsMax: checked.whole("max-rebuilds", 1, 1_000),
    copyPollMs,
    pollMs: Math.min(copyPollMs, pollMsMax),
    allow: {
      snapshots: allowed.has("snapshots"),
      labelSteering: allowed.has("label-steering"),
      shrinkThenGrow: allowed.has("shrink-then-grow"),
      shrinkTwoReplicas: allowed.has("shrink-two-replicas"),
      ambiguousPlacement: allowed.has("ambiguous-placement"),
      offlineRebuild: allowed.has("offline-rebuild"),
    },
  };
}

function leaderEndpointsOf(service: string, address: string | undefined, problems: string[]) {
  if (service === "") return undefined;
  // The slice's own name has five more.
  if (!/^[a-z]([a-z0-9-]{0,56}[a-z0-9])?$/.test(service)) {
    const allowed = "the name of a Service, of at most 58 small letters, digits and dashes";
    problems.push(`${named("leader-endpoints")}: got "${service}", allowed is ${allowed}`);
  }
  if (address === undefined || isIP(address) === 0)
    problems.push(
      `--advertise-address (POD_IP): got ${address === undefined ? "nothing" : `"${address}"`}, allowed with --leader-endpoints is an IP address`,
    );
  return { service, address: address ?? "" };
}

function webhookOf(
  values: OperatorFlagValues,
  listen: string,
  namespace: string,
  checked: Checks,
): WebhookConfig | undefined {
  if (listen === "") return undefined;
  const service = `couchestor-webhook.${namespace}.svc`;
  return {
    listen: checked.take({ hostname: "", port: 0 }, () => parseListenAddress(listen, "--webhook-listen")),
    certDir: values["webhook-cert-dir"],
    configuration: values["webhook-configuration"] ?? "",
    hosts: values["webhook-host"] ?? [service, `${service}.cluster.local`],
  };
}

/** Its chart names the service after the release, which usually is named as its namespace. */
function mayastorUrlIn(namespace: string): string {
  return `http://${namespace}-api-rest.${namespace}.svc.cluster.local:8081`;
}
