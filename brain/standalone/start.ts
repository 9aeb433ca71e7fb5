/** A whole cluster on this machine: a brain and some agents as processes of this very program, on loopback only, in one folder. */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Endpoint } from "@couchestor/common/runtime/data-dir.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { version } from "@couchestor/common/runtime/version.ts";
import { formatDuration } from "@couchestor/common/units/duration.ts";
import { type BrainClient, createBrainClient } from "../cli/brain-client.ts";
import { Member } from "./member.ts";
import { freePorts } from "./ports.ts";
import { readBrainPorts, removeStandaloneFile, writeBrainPorts, writeStandaloneFile } from "./state-file.ts";

export const agentsMax = 64;
export const poolsPerAgentMax = 16;

export interface StandaloneOptions {
  /** The command line that starts this program. */
  program: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  signal: AbortSignal;
  dataDir: string;
  agents: number;
  poolsPerAgent: number;
  /** Start members again that die. */
  restart: boolean;
  repairAfterMs?: number | undefined;
  heartbeatEveryMs?: number | undefined;
  offlineAfterMs?: number | undefined;
  /** As the brain takes it: `200MiB/s`. */
  repairRate?: string | undefined;
  logFormat?: "text" | "json" | undefined;
  onNote: (text: string) => void;
}

export interface StandalonePool {
  name: string;
  path: string;
}

export interface StandaloneMember {
  name: string;
  dataDir: string;
  logPath: string;
  endpoint: Endpoint;
  pools: readonly StandalonePool[];
  /** 0 when it does not run. */
  pid(): number;
  /** SIGKILL; it stays dead until `start`. */
  kill(): Promise<void>;
  /** Starts it again and waits until it is ready. */
  start(): Promise<void>;
}

export interface Standalone {
  brainUrl: string;
  client: BrainClient;
  brain: StandaloneMember;
  agents: readonly StandaloneMember[];
  /** From the first process to the last pool Online. */
  readySeconds: number;
  /** Agents first, then the brain, each in order. Safe to call twice. */
  stop(): Promise<void>;
}

const readyTimeoutMs = 30_000;
const stopGraceMs = 15_000;

/** Starts everything and returns when all pools are Online. On failure nothing is left running. */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  checkCounts(options);
  const startMs = options.clock.monotonicMs();
  const dataDir = resolve(options.dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const lock = await lockDataDir(dataDir);
  const members: Member[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= stopAll(members, dataDir).finally(() => lock.release());
    return stopping;
  };
  try {
    const brain = await startBrain(options, dataDir, members);
    const agents = await startAgents(options, dataDir, brain.endpoint.clusterUrl, members);
    const client = createBrainClient(brain.endpoint.adminUrl, undefined, options.signal);
    await allOnline(options, client, agents);
    await writeStandaloneFile(dataDir, {
      pid: process.pid,
      version,
      brainUrl: brain.endpoint.adminUrl,
      brain: { name: brain.name, pid: brain.pid(), dataDir: brain.dataDir },
      agents: agents.map((agent) => ({
        name: agent.name,
        pid: agent.pid(),
        dataDir: agent.dataDir,
        pools: [...agent.pools],
      })),
    });
    const readySeconds = (options.clock.monotonicMs() - startMs) / 1000;
    return { brainUrl: brain.endpoint.adminUrl, client, brain, agents, readySeconds, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function checkCounts(options: StandaloneOptions): void {
  for (const [field, value, max] of [
    ["agents", options.agents, agentsMax],
    ["pools-per-agent", options.poolsPerAgent, poolsPerAgentMax],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 1 || value > max) {
      throw new AppError("InvalidArgument", `--${field}: got ${value}, allowed is 1 to ${max}`, {
        data: { field, value, max },
      });
    }
  }
}

async function lockDataDir(dataDir: string): Promise<{ release(): Promise<void> }> {
  return nodeFileSystem()
    .lock(join(dataDir, "LOCK"))
    .catch((error: unknown) => {
      if (!(error instanceof FileSystemError) || error.code !== "EWOULDBLOCK") throw error;
      throw new AppError(
        "FailedPrecondition",
        `${dataDir} is in use by another standalone; stop that one, or give another folder`,
        {
          data: { dataDir },
        },
      );
    });
}

async function startBrain(options: StandaloneOptions, dataDir: string, members: Member[]): Promise<StandaloneMember> {
  const folder = join(dataDir, "brain");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const ports = await freePorts(await readBrainPorts(dataDir));
  const flags = [
    ...["--data-dir", folder],
    ...["--listen", `127.0.0.1:${ports.cluster}`, "--admin-listen", `127.0.0.1:${ports.admin}`],
    ...["--metrics-listen", `127.0.0.1:${ports.metrics}`, "--health-listen", `127.0.0.1:${ports.health}`],
    ...durationFlag("--repair-after", options.repairAfterMs),
    ...durationFlag("--heartbeat-every", options.heartbeatEveryMs),
    ...durationFlag("--offline-after", options.offlineAfterMs),
    ...(options.repairRate === undefined ? [] : ["--repair-rate", options.repairRate]),
    ...["--log-format", options.logFormat ?? "text"],
  ];
  await writeBrainPorts(dataDir, ports);
  return startMember(options, { name: "brain", role: "brain", dataDir: folder, flags, pools: [] }, members);
}

function durationFlag(flag: string, ms: number | undefined): string[] {
  return ms === undefined ? [] : [flag, formatDuration(ms)];
}

async function startAgents(
  options: StandaloneOptions,
  dataDir: string,
  brainUrl: string,
  members: Member[],
): Promise<StandaloneMember[]> {
  const starts = Array.from({ length: options.agents }, async (_, index) => {
    const name = `node-${index + 1}`;
    const folder = join(dataDir, name);
    const pools = Array.from({ length: options.poolsPerAgent }, (_, pool) => {
      const poolName = `pool-${pool + 1}`;
      return { name: poolName, path: join(folder, poolName) };
    });
    for (const pool of pools) await mkdir(pool.path, { recursive: true, mode: 0o700 });
    const flags = [
      ...["--node-name", name, "--brain", brainUrl, "--data-dir", folder],
      ...pools.flatMap((pool) => ["--pool", `${pool.name}=${pool.path}`]),
      ...["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
      ...["--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"],
      ...["--log-format", options.logFormat ?? "text"],
    ];
    return startMember(options, { name, role: "agent", dataDir: folder, flags, pools }, members);
  });
  const results = await Promise.allSettled(starts);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

interface MemberSpec {
  name: string;
  role: "brain" | "agent";
  dataDir: string;
  flags: readonly string[];
  pools: readonly StandalonePool[];
}

async function startMember(options: StandaloneOptions, spec: MemberSpec, members: Member[]): Promise<StandaloneMember> {
  const { name, role, dataDir, flags, pools } = spec;
  const { program, env, clock, restart, onNote, signal } = options;
  const member = new Member({ name, role, dataDir, program, env: withoutProxy(env), clock, restart, onNote });
  members.push(member);
  await member.start(flags);
  const view: StandaloneMember = {
    name,
    dataDir,
    logPath: member.logPath,
    pools,
    endpoint: await member.ready(readyTimeoutMs, signal),
    pid: () => member.pid,
    kill: () => member.kill(),
    async start() {
      await member.start(flags);
      view.endpoint = await member.ready(readyTimeoutMs, signal);
    },
  };
  return view;
}

/** All of it is on loopback, whatever proxy the environment names for the rest. */
function withoutProxy(env: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  const hosts = [env["NO_PROXY"] ?? env["no_proxy"], "127.0.0.1", "localhost"].filter((part) => part).join(",");
  return { ...env, NO_PROXY: hosts, no_proxy: hosts };
}

async function allOnline(
  options: StandaloneOptions,
  client: BrainClient,
  agents: readonly StandaloneMember[],
): Promise<void> {
  const untilMs = options.clock.monotonicMs() + readyTimeoutMs;
  for (;;) {
    const nodes = await client.nodes();
    const online = agents.filter((agent) => {
      const node = nodes.find((other) => other.nodeName === agent.name);
      // A fresh pool takes chunks only after it has learned which cluster it belongs to.
      const pools = node?.pools.filter((pool) => pool.clusterUuid !== zeroUuid) ?? [];
      return node?.state === "Online" && pools.length === agent.pools.length;
    });
    if (online.length === agents.length) return;
    if (options.clock.monotonicMs() > untilMs) {
      const late = agents.filter((agent) => !online.includes(agent));
      throw new AppError(
        "Unavailable",
        `not Online after ${readyTimeoutMs} ms: ${late.map((a) => `${a.name} (${a.logPath})`).join(", ")}`,
      );
    }
    await options.clock.sleep(20, options.signal);
  }
}

async function stopAll(members: readonly Member[], dataDir: string): Promise<void> {
  const agents = members.filter((member) => member.name !== "brain");
  await Promise.all(agents.map((member) => member.stop(stopGraceMs)));
  for (const member of members) if (!agents.includes(member)) await member.stop(stopGraceMs);
  await removeStandaloneFile(dataDir);
}
