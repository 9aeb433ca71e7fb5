/** The agent's flags. All problems are told at once. */
import { parseArgs } from "node:util";
import { nameSchema } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { isLoopback, parseListenAddress } from "@couchestor/common/http/listener.ts";
import type { ListenAddress } from "@couchestor/common/http/listener-options.ts";
import {
  type LogFormat,
  type LogLevel,
  logFormatSchema,
  logFormats,
  logLevelSchema,
  logLevels,
} from "@couchestor/common/observe/logger.ts";
import type { TlsFiles } from "@couchestor/common/tls/material.ts";
import { checkByteLimits, parseBytes } from "@couchestor/common/units/bytes.ts";
import { z } from "zod";
import { userSpacePrefix } from "./pools/open-pool.ts";
import { type PoolSpec, parseLabel, parsePoolSpec, poolSpecProblems } from "./pools/pool-spec.ts";

const ioEngineSchema = z.enum(["libaio", "spdk", "spdk-mock"]);
type IoEngine = z.infer<typeof ioEngineSchema>;

export interface AgentConfig {
  nodeName: string;
  brainUrl: string;
  dataDir: string;
  pools: PoolSpec[];
  labels: Record<string, string>;
  listen: ListenAddress;
  adminListen: ListenAddress;
  metricsListen: ListenAddress;
  healthListen: ListenAddress;
  /** The name or address that others reach the cluster and admin listeners by; undefined: the one listened on. */
  advertiseHost: string | undefined;
  memoryBudgetBytes: number;
  /** What drives devices: the kernel, by libaio; or SPDK or the mock of it for pools at `spdk:…`, with the driver's own options. */
  ioEngine: IoEngine;
  ioEngineOptions: string;
  logFormat: LogFormat;
  logLevel: LogLevel;
  /** Of the cluster listener; its CAs are the agents' and the brain's. */
  clusterTls: TlsFiles | undefined;
  /** Of the admin listener; its CAs are the administrators'. */
  adminTls: TlsFiles | undefined;
  /** For calls to the brain and other agents; its CAs are theirs. */
  peerTls: TlsFiles | undefined;
}

const text = { type: "string" } as const;
const many = { type: "string", multiple: true } as const;
const flags = {
  "node-name": text,
  brain: text,
  "data-dir": text,
  pool: many,
  label: many,
  listen: { ...text, default: "127.0.0.1:0" },
  "admin-listen": { ...text, default: "127.0.0.1:0" },
  "metrics-listen": { ...text, default: "127.0.0.1:8080" },
  "health-listen": { ...text, default: "127.0.0.1:8081" },
  "advertise-host": text,
  "memory-budget": { ...text, default: "256MiB" },
  "io-engine": { ...text, default: "libaio" },
  "io-engine-options": { ...text, default: "" },
  "tls-cert": text,
  "tls-key": text,
  "client-ca": many,
  "admin-client-ca": many,
  "peer-ca": many,
  "log-format": { ...text, default: "text" },
  "log-level": { ...text, default: "info" },
} as const;

export const agentUsage = `couchestor agent --node-name NAME --brain URL --data-dir DIR --pool NAME=PATH[,label=value…] [flags]

  --node-name NAME          this node, as placement sees it (required)
  --brain URL               the brain's cluster listener (required)
  --data-dir DIR            where the agent keeps its own state (required; one agent at a time)
  --pool NAME=PATH[,k=v…]   a directory or a block device for chunks, or device:ID for a claimed device (couchestor
                            device list); repeat for more
  --label KEY=VALUE         of this node: zone, rack …; repeat for more
  --listen HOST:PORT        for the brain and other agents (127.0.0.1:0)
  --admin-listen HOST:PORT  for import and export (127.0.0.1:0)
  --advertise-host HOST     how others reach these two; needed when listening on all addresses
  --metrics-listen, --health-listen HOST:PORT   (127.0.0.1:8080, 127.0.0.1:8081)
  --memory-budget 256MiB    the most data held in memory on its way
  --io-engine libaio        or spdk, for pools at spdk:ADDRESS/NSID, which the agent then drives past the kernel
  --io-engine-options K=V,… for SPDK (docs/spdk.md)
  --tls-cert FILE --tls-key FILE                   this agent's certificate; required off loopback, with
  --client-ca FILE…         CAs of who may call --listen (agents, brain)
  --admin-client-ca FILE…   CAs of who may call --admin-listen
  --peer-ca FILE…           CAs of the brain and the other agents
  --log-format text|json    --log-level info`;

type FlagName = keyof typeof flags;
type Values = Partial<Record<FlagName, string | string[]>>;

/** Parses the flags. Throws one `InvalidArgument` that lists every problem. */
export function parseAgentConfig(argv: readonly string[]): AgentConfig {
  const problems: string[] = [];
  const values = flagValues(argv, problems);
  const one = (flag: FlagName): string => String(values[flag] ?? "");
  const all = (flag: FlagName): string[] => (values[flag] as string[] | undefined) ?? [];
  const take = <T>(read: () => T, fallback: T): T => {
    try {
      return read();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
      return fallback;
    }
  };
  const address = (flag: FlagName) =>
    take(() => parseListenAddress(one(flag), `--${flag}`), { hostname: "127.0.0.1", port: 0 });
  const config: AgentConfig = {
    nodeName: take(() => nodeNameOf(one("node-name")), ""),
    brainUrl: take(() => brainUrlOf(one("brain")), ""),
    dataDir: one("data-dir"),
    pools: all("pool").flatMap((pool) => take<PoolSpec[]>(() => [parsePoolSpec(pool)], [])),
    labels: Object.assign({}, ...all("label").map((label) => take(() => parseLabel(label, "--label"), {}))),
    listen: address("listen"),
    adminListen: address("admin-listen"),
    metricsListen: address("metrics-listen"),
    healthListen: address("health-listen"),
    advertiseHost: values["advertise-host"] === undefined ? undefined : one("advertise-host"),
    memoryBudgetBytes: take(() => memoryOf(one("memory-budget")), 0),
    ioEngine: take(() => choice(ioEngineSchema, one("io-engine"), "--io-engine", ioEngineSchema.options), "libaio"),
    ioEngineOptions: one("io-engine-options"),
    logFormat: take(() => choice(logFormatSchema, one("log-format"), "--log-format", logFormats), "text"),
    logLevel: take(() => choice(logLevelSchema, one("log-level"), "--log-level", logLevels), "info"),
    clusterTls: tlsOf(values, "client-ca", problems),
    adminTls: tlsOf(values, "admin-client-ca", problems),
    peerTls: tlsOf(values, "peer-ca", problems),
  };
  if (config.dataDir === "") problems.push("--data-dir: got nothing, allowed is a folder for the agent's own state");
  if (all("pool").length === config.pools.length) problems.push(...poolSpecProblems(config.pools));
  problems.push(...reachProblems(config), ...engineProblems(config));
  const unique = [...new Set(problems)];
  if (unique.length === 0) return config;
  throw new AppError("InvalidArgument", `agent: ${unique.join("\n  ")}`, { data: { problems: unique } });
}

function flagValues(argv: readonly string[], problems: string[]): Values {
  try {
    return parseArgs({ args: [...argv], options: flags, strict: true, allowPositionals: false }).values;
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return parseArgs({ args: [...argv], options: flags, strict: false }).values as Values;
  }
}

function nodeNameOf(name: string): string {
  const parsed = nameSchema.safeParse(name);
  if (parsed.success) return name;
  const why = name === "" ? "a name is needed" : parsed.error.issues[0]?.message;
  throw new AppError("InvalidArgument", `--node-name: got "${name}", ${why}, such as node-1`);
}

function brainUrlOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.pathname === "/" && parsed.search === "") {
    return url.replace(/\/+$/, "");
  }
  throw new AppError(
    "InvalidArgument",
    `--brain: got "${url}", allowed is the URL of the brain's cluster listener, such as https://brain.example:7400`,
  );
}

function memoryOf(value: string): number {
  const what = "--memory-budget";
  return checkByteLimits(parseBytes(value, what), { minBytes: 16 * 2 ** 20, maxBytes: 2 ** 40 }, what);
}

function choice<T>(
  schema: { safeParse(v: unknown): { success: boolean; data?: T } },
  value: string,
  flag: string,
  allowed: readonly string[],
): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data as T;
  throw new AppError("InvalidArgument", `${flag}: got "${value}", allowed is ${allowed.join(", ")}`);
}

function tlsOf(
  values: Values,
  caFlag: "client-ca" | "admin-client-ca" | "peer-ca",
  problems: string[],
): TlsFiles | undefined {
  const certFile = values["tls-cert"] as string | undefined;
  const keyFile = values["tls-key"] as string | undefined;
  const caFiles = values[caFlag] as string[] | undefined;
  if (certFile === undefined && keyFile === undefined && caFiles === undefined) return undefined;
  if (certFile !== undefined && keyFile !== undefined && caFiles !== undefined) return { certFile, keyFile, caFiles };
  problems.push(`TLS needs --tls-cert, --tls-key and --${caFlag} together`);
  return undefined;
}

function engineProblems({ pools, ioEngine, ioEngineOptions }: AgentConfig): string[] {
  if (ioEngine !== "libaio") return [];
  const problems = pools
    .filter(({ path }) => path.startsWith(userSpacePrefix))
    .map(({ poolName, path }) => `--pool ${poolName}: ${path} needs --io-engine spdk (docs/spdk.md)`);
  if (ioEngineOptions !== "")
    problems.push(
      `--io-engine-options: got "${ioEngineOptions}", which needs --io-engine spdk: libaio has no options (docs/spdk.md)`,
    );
  return problems;
}

/** Whether others can reach what this agent says it listens on, and only those who may. */
function reachProblems(config: AgentConfig): string[] {
  const problems: string[] = [];
  const of = [
    ["listen", config.listen, config.clusterTls, "client-ca"],
    ["admin-listen", config.adminListen, config.adminTls, "admin-client-ca"],
  ] as const;
  for (const [flag, { hostname }, tls, caFlag] of of) {
    const wildcard = hostname === "0.0.0.0" || hostname === "::";
    if (!isLoopback(hostname) && tls === undefined) {
      problems.push(
        `--${flag}: ${hostname} is reachable from other machines: give --tls-cert, --tls-key and --${caFlag}, or listen on 127.0.0.1`,
      );
    }
    if (wildcard && config.advertiseHost === undefined) {
      problems.push(
        `--advertise-host: needed with --${flag} on all addresses; give the name or address that others reach this node by`,
      );
    }
  }
  return problems;
}
