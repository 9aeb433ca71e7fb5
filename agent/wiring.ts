/** The agent put together: the one place where its ports meet their adapters. What starts last stops first. */
import type { Heartbeat } from "@couchestor/common/api/nodes.ts";
import { protocolVersion } from "@couchestor/common/api/primitives.ts";
import { type Listener, startListener } from "@couchestor/common/http/listener.ts";
import type { ListenAddress } from "@couchestor/common/http/listener-options.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { removeEndpoint, writeEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import type { FileSystem } from "@couchestor/common/runtime/file-system.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { ShutdownGroup, type ShutdownStepResult } from "@couchestor/common/runtime/shutdown.ts";
import { commit, version } from "@couchestor/common/runtime/version.ts";
import { WatchedTls, watchTls } from "@couchestor/common/tls/reload.ts";
import { planRecovery } from "@couchestor/native-ffi/codec/recovery.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { fadviseDontNeed, flockExclusive } from "@couchestor/native-ffi/libc/libc.ts";
import type { AgentConfig } from "./config.ts";
import { reportedDevices } from "./devices/device-info.ts";
import { IoErrorCounts } from "./devices/health/io-errors.ts";
import { brainClient } from "./heartbeat/brain-client.ts";
import { HeartbeatLoop } from "./heartbeat/heartbeat.ts";
import { adminApp } from "./http/admin-app.ts";
import type { AgentHono } from "./http/app.ts";
import { imageBytesMax } from "./http/chunk-routes.ts";
import { clusterApp, type VersionAnswer } from "./http/cluster-app.ts";
import { healthApp, metricsApp } from "./http/probe-apps.ts";
import { ActRunner } from "./mover/act-runner.ts";
import { type MemoryBudgets, memoryBudgets } from "./mover/byte-budget.ts";
import { MapCache } from "./mover/map-cache.ts";
import { NodePeers } from "./mover/node-peers.ts";
import { PoolFinder } from "./mover/pool-finder.ts";
import { StripeReader } from "./mover/stripe-reader.ts";
import { agentMetrics } from "./observe/metrics.ts";
import type { PoolRegistry } from "./pools/pool-registry.ts";
import type { BrainPort, Log } from "./ports.ts";
import { DeviceLatencies } from "./store/io-latency.ts";
import { takeDataDir } from "./take-data-dir.ts";
import { inspectParts, type NodeDevices, startDevices } from "./wiring/devices.ts";
import { openPools } from "./wiring/pools.ts";

export interface AgentParts {
  clock: Clock;
  prng: Prng;
  log: Log;
}

export interface RunningAgent {
  instanceUuid: string;
  urls: { cluster: string; admin: string; metrics: string; health: string };
  pools: PoolRegistry;
  reader: StripeReader;
  stop(): Promise<ShutdownStepResult[]>;
}

const adminBodyBytesMax = Number.MAX_SAFE_INTEGER;
const probeBodyBytesMax = 64 * 1024;
/** Starts an agent; ready on return. Throws `FailedPrecondition` when another has the data folder, and whatever else is wrong with the flags. */
export async function startAgent(config: AgentConfig, parts: AgentParts): Promise<RunningAgent> {
  const shutdown = new ShutdownGroup("agent", parts.clock);
  try {
    return await start(config, parts, shutdown);
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function start(config: AgentConfig, parts: AgentParts, shutdown: ShutdownGroup): Promise<RunningAgent> {
  const { clock, prng, log } = parts;
  const { nodeName } = config;
  const instanceUuid = prng.uuid();
  const fileSystem = systemFileSystem();
  await takeDataDir(config.dataDir, fileSystem, shutdown);
  const { codec, checksum, notes } = await selectCodec();
  log.info({ codec: codec.description, checksum: checksum.description }, "codec in use");
  for (const note of notes) log.warn({}, note);
  const tls = {
    cluster: new WatchedTls(config.clusterTls),
    admin: new WatchedTls(config.adminTls),
    peers: new WatchedTls(config.peerTls),
  };
  for (const one of Object.values(tls)) await one.look();

  const ioErrors = new IoErrorCounts();
  const ioLatencies = new DeviceLatencies(clock);
  const pools = await openPools(config, { ...parts, fileSystem, checksum, ioErrors, ioLatencies }, shutdown);
  const brain = brainClient(config.brainUrl, () => tls.peers.material);
  const memory = memoryBudgets(config.memoryBudgetBytes);
  const peers = new NodePeers({ nodeName, pools, checksum, clock, tls: () => tls.peers.material });
  const mover = { codec, checksum, plan: planRecovery, clock, log, peers };
  const maps = new MapCache({ brain, clock, log });
  const finder = new PoolFinder({ nodeName, pools, clock, tls: () => tls.peers.material });
  const reader = new StripeReader(mover, { maps, budget: memory.moving, finder });
  const acts = new ActRunner({ ...mover, budget: memory.moving, finder }, { brain, nodeName, instanceUuid });
  const about = { version, commit, protocolVersion, codec: codec.description, nodeName, instanceUuid };
  const devices = startDevices(
    { ...parts, ...inspectParts(checksum, clock), ioErrors, specs: config.pools },
    pools,
    shutdown,
  );
  const core: Core = {
    config,
    parts,
    shutdown,
    tls,
    pools,
    devices,
    ioLatencies,
    brain,
    memory,
    maps,
    reader,
    acts,
    about,
  };

  const heartbeat = heartbeatOf(core, () => ({
    clusterUrl: advertised(listeners.cluster, config.advertiseHost),
    adminUrl: advertised(listeners.admin, config.advertiseHost),
  }));
  const listeners = listenAll(core, heartbeat);
  watchTls(Object.values(tls), parts, shutdown);
  shutdown.add("acts", 5_000, () => acts.shutdown());
  heartbeat.start();
  shutdown.add("heartbeat", 2_000, () => heartbeat.stop());

  const urls = {
    cluster: listeners.cluster.url,
    admin: listeners.admin.url,
    metrics: listeners.metrics.url,
    health: listeners.health.url,
  };
  await announce(config, instanceUuid, urls, shutdown);
  log.info({ ...urls, nodeName, instanceUuid, dataDir: config.dataDir }, "agent is ready");
  return { instanceUuid, urls, pools, reader, stop: () => shutdown.run() };
}

/** What the listeners and the heartbeat are made of. */
interface Core {
  config: AgentConfig;
  parts: AgentParts;
  shutdown: ShutdownGroup;
  tls: Record<"cluster" | "admin" | "peers", WatchedTls>;
  pools: PoolRegistry;
  devices: NodeDevices;
  ioLatencies: DeviceLatencies;
  brain: BrainPort;
  memory: MemoryBudgets;
  maps: MapCache;
  reader: StripeReader;
  acts: ActRunner;
  about: VersionAnswer;
}

function heartbeatOf(core: Core, urls: () => Pick<Heartbeat, "clusterUrl" | "adminUrl">): HeartbeatLoop {
  const { config, parts, brain, pools, devices, acts, about } = core;
  const { nodeName, instanceUuid, codec } = about;
  return new HeartbeatLoop({
    brain,
    nodeName,
    clock: parts.clock,
    log: parts.log,
    state: () => ({
      protocolVersion,
      version,
      nodeName,
      instanceUuid,
      ...urls(),
      labels: config.labels,
      codec,
      pools: devices.health.withDevices(pools.infos()),
      devices: reportedDevices(devices.health.all()),
      acts: acts.progress(),
    }),
    onCluster: (clusterUuid) => pools.adopt(clusterUuid),
  });
}

function listenAll(core: Core, heartbeat: HeartbeatLoop): Record<"metrics" | "health" | "cluster" | "admin", Listener> {
  const { config, parts, pools, memory, maps, reader, acts, tls, about } = core;
  const { clock, log } = parts;
  const metrics = agentMetrics({
    nodeName: about.nodeName,
    codec: about.codec,
    pools: () => pools.infos(),
    stores: () => pools.stores(),
    devices: core.devices,
    ioLatencies: () => core.ioLatencies.all(),
    acts: () => acts,
    reads: () => reader.counts,
    memory: () => memory,
    brainAnsweredMsAgo: () => heartbeat.answeredMsAgo,
  });
  const health = {
    notReady: () => (pools.infos().some(({ state }) => state !== "Failed") ? [] : ["no pool can be read"]),
    warnings: () => [
      ...pools
        .infos()
        .filter(({ state }) => state !== "Online")
        .map(({ poolName, state, reason = "" }) => `pool ${poolName} is ${state}: ${reason}`),
      ...(heartbeat.failing === undefined ? [] : [`the brain does not take heartbeats: ${heartbeat.failing}`]),
    ],
  };
  const app = (listener: string) => ({ listener, clock, log, metrics });
  const listen = listenWith(parts, core.shutdown);
  const probe = { bodyBytesMax: probeBodyBytesMax };
  const clusterParts = {
    ...app("cluster"),
    pools,
    budget: memory.serving,
    acts,
    poolInfos: () => pools.infos(),
    version: about,
  };
  const adminParts = { ...app("admin"), acts, maps, reader, version: about };
  return {
    metrics: listen("metrics", config.metricsListen, metricsApp(app("metrics"), metrics.registry), probe),
    health: listen("health", config.healthListen, healthApp(app("health"), health), probe),
    cluster: listen("cluster", config.listen, clusterApp(clusterParts), {
      bodyBytesMax: imageBytesMax,
      tls: tls.cluster,
    }),
    admin: listen("admin", config.adminListen, adminApp(adminParts), {
      bodyBytesMax: adminBodyBytesMax,
      tls: tls.admin,
    }),
  };
}

async function announce(
  config: AgentConfig,
  instanceUuid: string,
  urls: RunningAgent["urls"],
  shutdown: ShutdownGroup,
): Promise<void> {
  await writeEndpoint(config.dataDir, {
    pid: process.pid,
    role: "agent",
    version,
    instanceUuid,
    clusterUrl: urls.cluster,
    adminUrl: urls.admin,
    metricsUrl: urls.metrics,
    healthUrl: urls.health,
  });
  shutdown.add("endpoint", 1_000, () => removeEndpoint(config.dataDir, instanceUuid));
}

function systemFileSystem(): FileSystem {
  return nodeFileSystem({ flock: flockExclusive, dropCache: fadviseDontNeed });
}

function listenWith({ clock, log }: AgentParts, shutdown: ShutdownGroup) {
  return (
    name: string,
    address: ListenAddress,
    app: AgentHono,
    options: { bodyBytesMax: number; tls?: WatchedTls },
  ): Listener => {
    const { bodyBytesMax, tls } = options;
    const listener = startListener({
      name,
      address,
      tls: tls?.material,
      tlsFlags:
        name === "admin" ? "--tls-cert, --tls-key and --admin-client-ca" : "--tls-cert, --tls-key and --client-ca",
      plainAllowed: tls === undefined,
      bodyBytesMax,
      clock,
      handle: (request, context) => app.fetch(request, context),
      onError: (error) => log.error({ listener: name, err: error }, "a request failed"),
    });
    if (tls !== undefined) tls.listener = listener;
    shutdown.add(`http/${name}`, 5_000, () => listener.stop(3_000));
    return listener;
  };
}

function advertised(listener: Listener, host: string | undefined): string {
  if (host === undefined) return listener.url;
  const { protocol } = new URL(listener.url);
  return `${protocol}//${host.includes(":") ? `[${host}]` : host}:${listener.port}`;
}
