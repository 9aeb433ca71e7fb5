import { expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { mayastorMetrics } from "../tiering/heat-queries.ts";
import { parseOperatorConfig, warningsOf } from "./config.ts";

test("without flags it is what the manifests and the documentation say", () => {
  const config = parseOperatorConfig(["--store=kubernetes"], {});
  expect(config).toMatchObject({
    prometheusUrl: "http://prometheus.monitoring.svc.cluster.local:9090",
    mayastorUrl: "http://mayastor-api-rest.mayastor.svc.cluster.local:8081",
    maxConcurrentMigrations: 2,
    migrationTimeoutMs: 1_800_000,
    migration: expect.objectContaining({ copyPollMs: 10_000, pollMs: 5_000, settleMs: 36_000, rebuildsMax: 10 }),
    migrationBytesPerSecond: undefined,
    auditLogFile: undefined,
    dryRun: false,
    preservationMode: false,
    leaseName: "couchestor-brain",
    webhook: undefined,
    namespace: undefined,
  });
  expect(config.brain).toMatchObject({
    dataDir: "",
    logLevel: "info",
    logFormat: "text",
    metricsListen: { hostname: "0.0.0.0", port: 8080 },
    healthListen: { hostname: "0.0.0.0", port: 8081 },
  });
});

test("every setting has a twin in the environment, and the flag wins", () => {
  const env = {
    PROMETHEUS_URL: "http://p:1",
    MAYASTOR_NAMESPACE: "openebs",
    MAX_CONCURRENT_MIGRATIONS: "7",
    MIGRATION_TIMEOUT_MINUTES: "5",
    SYNC_POLL_INTERVAL_SECONDS: "3",
    DRY_RUN: "true",
    PRESERVATION_MODE: "1",
    METRICS_ADDR: "127.0.0.1:1",
    HEALTH_ADDR: ":2",
    LOG_LEVEL: "debug",
    LOG_JSON: "true",
    WEBHOOK_LISTEN: ":3",
    POD_NAME: "brain-0",
    POD_NAMESPACE: "here",
  };
  const config = parseOperatorConfig(["--max-concurrent-migrations=3"], env);
  expect(config).toMatchObject({
    prometheusUrl: "http://p:1",
    mayastorUrl: "http://openebs-api-rest.openebs.svc.cluster.local:8081",
    maxConcurrentMigrations: 3,
    migrationTimeoutMs: 300_000,
    migration: expect.objectContaining({ copyPollMs: 3_000, pollMs: 3_000 }),
    dryRun: true,
    preservationMode: true,
    identity: "brain-0",
    namespace: "here",
    webhook: {
      listen: { hostname: "0.0.0.0", port: 3 },
      hosts: expect.arrayContaining(["couchestor-webhook.here.svc"]),
    },
  });
  expect(config.brain).toMatchObject({
    logLevel: "debug",
    logFormat: "json",
    metricsListen: { hostname: "127.0.0.1", port: 1 },
    healthListen: { port: 2 },
  });
});

test("a switch needs no value and takes one", () => {
  expect(parseOperatorConfig(["--dry-run"], {}).dryRun).toBe(true);
  expect(parseOperatorConfig(["--dry-run=false"], { DRY_RUN: "true" }).dryRun).toBe(false);
});

test("Prometheus and Mayastor may want a token, and have an authority and a client certificate of their own", () => {
  const env = { MAYASTOR_TOKEN_FILE: "/m/token", PROMETHEUS_CA: "/p/ca.crt", PROMETHEUS_TIMEOUT: "5s" };
  const pair = ["--prometheus-cert=/p/tls.crt", "--prometheus-key=/p/tls.key", "--prometheus-url=https://p:1"];
  expect(parseOperatorConfig(pair, env)).toMatchObject({
    prometheusFiles: { tokenFile: undefined, caFile: "/p/ca.crt", certFile: "/p/tls.crt", keyFile: "/p/tls.key" },
    prometheusTimeoutMs: 5_000,
    mayastorFiles: { tokenFile: "/m/token", caFile: undefined, certFile: undefined, keyFile: undefined },
  });
});

test("heat may come from other series, and from one cluster's among many", () => {
  expect(parseOperatorConfig([], {}).heatMetrics).toEqual(mayastorMetrics);
  const selector = String.raw`cluster="a",job=~"io-engine|b\"c"`;
  const flags = ["--prometheus-read-metrics=new_reads, old:reads", `--prometheus-selector=${selector}`];
  expect(parseOperatorConfig(flags, { PROMETHEUS_WRITE_METRICS: "writes" }).heatMetrics).toEqual({
    reads: ["new_reads", "old:reads"],
    writes: ["writes"],
    selector,
  });
  for (const wrong of [
    "--prometheus-read-metrics=",
    "--prometheus-read-metrics=a,,b",
    "--prometheus-write-metrics=rate(x[5m])",
    `--prometheus-write-metrics=${Array.from({ length: 9 }, (_, i) => `m${i}`).join(",")}`,
    "--prometheus-selector=cluster=a",
    '--prometheus-selector=a="b"} or vector(1',
    '--prometheus-selector=a="b"c="d"',
  ])
    expect(() => parseOperatorConfig([wrong], {})).toThrow(`${wrong.split("=")[0]} (`);
});

test("what makes no sense there is refused, and a password in an address is not repeated", () => {
  const flags = [
    "--prometheus-url=http://someone:hunter2@p:1",
    "--prometheus-ca=/ca.crt",
    "--mayastor-key=/tls.key",
    "--mayastor-url=https://m:1",
    "--prometheus-timeout=1h",
  ];
  const error = (() => {
    try {
      return parseOperatorConfig(flags, {});
    } catch (thrown) {
      return thrown as Error;
    }
  })();
  if (!isAppError(error, "InvalidArgument")) throw new Error("accepted");
  for (const words of [
    '--prometheus-url (PROMETHEUS_URL): got "http://…@p:1", allowed is an http:// or https:// address without a user or password',
    "--mayastor-cert (MAYASTOR_CERT): got nothing, but --mayastor-key is set: give both or none",
    "--prometheus-timeout: got 1h, allowed is 1s to 120s",
  ])
    expect(error.message).toContain(words);
  expect(error.message).not.toContain("hunter2");
  expect(() => parseOperatorConfig(["--prometheus-url=http://p:1", "--prometheus-ca=/ca.crt"], {})).toThrow(
    '--prometheus-url (PROMETHEUS_URL): got "http://p:1", allowed with certificates is an https:// address',
  );
});

test("all problems are told at once, each with the flag, its twin, what came and what is allowed", () => {
  const env = { MAX_CONCURRENT_MIGRATIONS: "many", LOG_LEVEL: "loud" };
  const flags = ["--prometheus-url=prometheus", "--dry-run=maybe", "--metrics-addr=8080", "--surprise=1"];
  try {
    parseOperatorConfig([...flags, "--reconcile-every=1ms"], env);
    throw new Error("accepted");
  } catch (error) {
    if (!isAppError(error, "InvalidArgument")) throw error;
    for (const words of [
      '--max-concurrent-migrations (MAX_CONCURRENT_MIGRATIONS): got "many", allowed is a whole number from 1 to 100',
      '--prometheus-url (PROMETHEUS_URL): got "prometheus", allowed is an http:// or https:// address',
      '--dry-run (DRY_RUN): got "maybe", allowed is true or false',
      '--metrics-listen: got "8080"',
      '--log-level: got "loud"',
      "--reconcile-every: got 1ms, allowed is 1s to 3600s",
      "--surprise",
    ])
      expect(error.message).toContain(words);
  }
});

test("a settle time below what Mayastor's cache takes is told of, and the usual one is not", () => {
  const warnings = (...argv: string[]) => warningsOf(parseOperatorConfig(["--store=kubernetes", ...argv], {}));
  expect(warnings("--settle-time=35s")).toEqual([expect.stringContaining("is 35s, safe is at least 36s")]);
  expect([warnings(), warnings("--settle-time=2m")]).toEqual([[], []]);
});
