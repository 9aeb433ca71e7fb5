/** The brain's flags. All problems are told at once. */
import { parseArgs } from "node:util";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseListenAddress } from "@couchestor/common/http/listener.ts";
import type { ListenAddress } from "@couchestor/common/http/listener-options.ts";
import { type LogFormat, type LogLevel, logFormatSchema, logLevelSchema } from "@couchestor/common/observe/logger.ts";
import type { TlsFiles } from "@couchestor/common/tls/material.ts";
import { parseDuration } from "@couchestor/common/units/duration.ts";
import { parseRate } from "@couchestor/common/units/rate.ts";
import type { z } from "zod";
import type { BrainOptions } from "./brain.ts";

export interface BrainConfig {
  dataDir: string;
  listen: ListenAddress;
  adminListen: ListenAddress;
  metricsListen: ListenAddress;
  healthListen: ListenAddress;
  options: BrainOptions;
  logFormat: LogFormat;
  logLevel: LogLevel;
  /** Of the cluster listener; its CAs are the agents'. */
  clusterTls: TlsFiles | undefined;
  /** Of the admin listener; its CAs are the administrators'. */
  adminTls: TlsFiles | undefined;
  /** For calls to agents; its CAs are theirs. */
  peerTls: TlsFiles | undefined;
}

const text = { type: "string" } as const;
/** The flags of every brain, wherever it keeps its objects. */
export const brainFlags = {
  store: { ...text, default: "sqlite" },
  "data-dir": text,
  listen: { ...text, default: "127.0.0.1:0" },
  "admin-listen": { ...text, default: "127.0.0.1:0" },
  "metrics-listen": { ...text, default: "127.0.0.1:8080" },
  "health-listen": { ...text, default: "127.0.0.1:8081" },
  "heartbeat-every": { ...text, default: "1s" },
  "offline-after": { ...text, default: "4s" },
  "repair-after": { ...text, default: "10m" },
  "repair-rate": text,
  "repair-concurrency": { ...text, default: "2" },
  "mass-failure-percent": { ...text, default: "34" },
  "failing-devices-percent": { ...text, default: "20" },
  "scrub-every": { ...text, default: "7d" },
  "scrub-concurrency": { ...text, default: "2" },
  "sweep-every": { ...text, default: "1d" },
  "sweep-delay": { ...text, default: "30s" },
  "tls-cert": text,
  "tls-key": text,
  "agent-ca": { ...text, multiple: true },
  "admin-client-ca": { ...text, multiple: true },
  "peer-ca": { ...text, multiple: true },
  "log-format": { ...text, default: "text" },
  "log-level": { ...text, default: "info" },
} as const;

export const brainUsage = `couchestor brain --data-dir DIR [flags]

  --data-dir DIR            where the database is kept (required; one brain at a time)
  --store sqlite|kubernetes where objects are kept (sqlite); with kubernetes see \`couchestor brain --store kubernetes --help\`
  --listen HOST:PORT        for agents (127.0.0.1:0)
  --admin-listen HOST:PORT  for the command line (127.0.0.1:0)
  --metrics-listen, --health-listen HOST:PORT   (127.0.0.1:8080, 127.0.0.1:8081)
  --heartbeat-every 1s  --offline-after 4s      when an agent counts as gone
  --repair-after 10m        when the shards of an offline node are put elsewhere
  --repair-rate RATE        limit of all repairs together, such as 200MiB/s (no limit)
  --repair-concurrency 2    runs repaired at once
  --mass-failure-percent 34 above this share of offline nodes only runs that can lose nothing more are repaired; 100: never hold back
  --failing-devices-percent 20   pools on failing devices are emptied, but none above this share of all pools; 100: never hold back
  --scrub-every 7d          every run is checked this often (0s: never)   --scrub-concurrency 2
  --sweep-every 1d          every pool is searched for garbage this often; --sweep-delay 30s after it came back
  --tls-cert FILE --tls-key FILE --agent-ca FILE… --admin-client-ca FILE… --peer-ca FILE…   required off loopback
  --log-format text|json    --log-level info`;

/** Parses the flags. Throws one `InvalidArgument` that lists every problem. */
export function parseBrainConfig(argv: readonly string[]): BrainConfig {
  const problems: string[] = [];
  const values = flagValues(argv, problems);
  if (values.store !== "sqlite") problems.push(`--store: got "${values.store}", allowed is sqlite or kubernetes`);
  if (!values["data-dir"]) problems.push("--data-dir: got nothing, allowed is a folder for the brain's database");
  const config = brainConfigOf(values, problems);
  if (problems.length > 0) throw invalidFlags(problems);
  return config;
}

/** Which store the flags ask for. */
export function storeOf(argv: readonly string[]): string {
  const { values } = parseArgs({ args: [...argv], options: { store: brainFlags.store }, strict: false });
  return String(values.store);
}

/** One error for all problems of the flags. */
export function invalidFlags(problems: readonly string[]): AppError {
  return new AppError("InvalidArgument", `brain: ${problems.join("\n  ")}`, { data: { problems } });
}

/** What the flags of every brain say; what is wrong with them is added to `problems`. */
export function brainConfigOf(values: BrainFlagValues, problems: string[]): BrainConfig {
  const take = <T>(read: () => T, fallback: T): T => {
    try {
      return read();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
      return fallback;
    }
  };
  const address = (flag: "listen" | "admin-listen" | "metrics-listen" | "health-listen") =>
    take(() => parseListenAddress(values[flag] ?? "", `--${flag}`), { hostname: "", port: 0 });
  const duration = (flag: keyof typeof brainFlags, minMs: number, maxMs = 365 * 86_400_000) =>
    take(() => within(`--${flag}`, parseDuration(String(values[flag]), `--${flag}`), minMs, maxMs, "ms"), minMs);
  const count = (flag: keyof typeof brainFlags, min: number, max: number) =>
    take(() => within(`--${flag}`, Number(values[flag]), min, max, ""), min);
  const one = <T extends string>(schema: z.ZodEnum<Record<T, T>>, flag: "log-format" | "log-level", fallback: T): T => {
    const parsed = schema.safeParse(values[flag]);
    if (parsed.success) return parsed.data as T;
    problems.push(`--${flag}: got "${values[flag]}", allowed is ${schema.options.join(", ")}`);
    return fallback;
  };
  const heartbeatEveryMs = duration("heartbeat-every", 50, 60_000);
  const offlineAfterMs = duration("offline-after", 100, 3_600_000);
  if (offlineAfterMs < 2 * heartbeatEveryMs) problems.push("--offline-after: must be at least twice --heartbeat-every");
  const rate = values["repair-rate"];
  return {
    dataDir: values["data-dir"] ?? "",
    listen: address("listen"),
    adminListen: address("admin-listen"),
    metricsListen: address("metrics-listen"),
    healthListen: address("health-listen"),
    options: {
      heartbeatEveryMs,
      offlineAfterMs,
      repairAfterMs: duration("repair-after", 0),
      repair: {
        concurrency: count("repair-concurrency", 1, 256),
        bytesPerSecondMax: rate === undefined ? undefined : take(() => parseRate(rate, "--repair-rate"), undefined),
        massFailureShare: count("mass-failure-percent", 1, 100) / 100,
      },
      evacuation: { failingShareMax: count("failing-devices-percent", 1, 100) / 100 },
      scrub: {
        concurrency: count("scrub-concurrency", 1, 256),
        everyMs: duration("scrub-every", 0),
        lookEveryMs: 60_000,
      },
      sweep: { everyMs: duration("sweep-every", 1000), delayMs: duration("sweep-delay", 0) },
    },
    logFormat: one(logFormatSchema, "log-format", "text"),
    logLevel: one(logLevelSchema, "log-level", "info"),
    clusterTls: tlsOf(values, "agent-ca", problems),
    adminTls: tlsOf(values, "admin-client-ca", problems),
    peerTls: tlsOf(values, "peer-ca", problems),
  };
}

export type BrainFlagValues = { [K in keyof typeof brainFlags]?: string | undefined } & Partial<
  Record<"agent-ca" | "admin-client-ca" | "peer-ca", string[]>
>;

function flagValues(argv: readonly string[], problems: string[]): BrainFlagValues {
  try {
    return parseArgs({ args: [...argv], options: brainFlags, strict: true, allowPositionals: false })
      .values as BrainFlagValues;
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return parseArgs({ args: [...argv], options: brainFlags, strict: false }).values as BrainFlagValues;
  }
}

function tlsOf(
  values: BrainFlagValues,
  caFlag: "agent-ca" | "admin-client-ca" | "peer-ca",
  problems: string[],
): TlsFiles | undefined {
  const cert = values["tls-cert"];
  const key = values["tls-key"];
  const ca = values[caFlag] as string[] | undefined;
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  if (cert !== undefined && key !== undefined && ca !== undefined) return { certFile: cert, keyFile: key, caFiles: ca };
  problems.push(`TLS needs --tls-cert, --tls-key and --${caFlag} together`);
  return undefined;
}

function within(flag: string, got: number, min: number, max: number, unit: string): number {
  if (Number.isFinite(got) && got >= min && got <= max) return got;
  throw new AppError("InvalidArgument", `${flag}: got ${got}${unit}, allowed is ${min}${unit} … ${max}${unit}`);
}
