/** The brain's composition root: the only file that joins its parts with the store, the network and the file system. */
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { makeDurableFolder } from "@couchestor/common/runtime/durable-folder.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { ShutdownGroup, type ShutdownStepResult } from "@couchestor/common/runtime/shutdown.ts";
import { WatchedTls, watchTls } from "@couchestor/common/tls/reload.ts";
import { Brain } from "./brain.ts";
import type { BrainConfig } from "./config.ts";
import { adminApp } from "./http/admin-app.ts";
import { httpAgents } from "./http/agent-client.ts";
import { clusterApp } from "./http/cluster-app.ts";
import { announce, logFailure, startListeners } from "./http/listeners.ts";
import { healthApp } from "./observe/health.ts";
import { brainMetrics, metricsApp } from "./observe/metrics.ts";
import type { Log } from "./ports.ts";
import { openSqliteStore } from "./store/sqlite-store.ts";

export interface RunningBrain {
  brain: Brain;
  urls: { cluster: string; admin: string; metrics: string; health: string };
  /** Stops in order: no new requests, what is being committed is finished, then the store and the lock. */
  stop(): Promise<ShutdownStepResult[]>;
}

interface Deps {
  clock: Clock;
  prng: Prng;
  log: Log;
}

/** Starts a brain on its data folder. Throws `FailedPrecondition` if another brain has it, `InvalidArgument` for what the flags got wrong. */
export async function startBrain(config: BrainConfig, deps: Deps): Promise<RunningBrain> {
  const shutdown = new ShutdownGroup("brain", deps.clock);
  try {
    await makeDurableFolder(nodeFileSystem(), config.dataDir);
    const lock = await takeLock(config.dataDir);
    shutdown.add("lock", 1000, () => lock.release());
    const tls = {
      cluster: new WatchedTls(config.clusterTls),
      admin: new WatchedTls(config.adminTls),
      peers: new WatchedTls(config.peerTls),
    };
    await Promise.all(Object.values(tls).map((one) => one.look()));
    const instanceUuid = deps.prng.uuid();
    const brain = await openBrain(config, deps, { shutdown, instanceUuid, peers: tls.peers });
    const urls = listenAll(config, deps, { shutdown, brain, tls });
    watchTls(Object.values(tls), deps, shutdown);
    await announce(config.dataDir, { instanceUuid, urls }, shutdown);
    deps.log.info({ ...urls, dataDir: config.dataDir }, "brain is ready");
    return { brain, urls, stop: () => shutdown.run() };
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

/** The brain on its database, started. */
async function openBrain(
  config: BrainConfig,
  deps: Deps,
  parts: { shutdown: ShutdownGroup; instanceUuid: string; peers: WatchedTls },
): Promise<Brain> {
  const { shutdown, instanceUuid, peers } = parts;
  const store = await openSqliteStore(join(config.dataDir, "couchestor.db"), deps);
  shutdown.add("store", 5000, () => store.close());
  const agents = httpAgents(() => peers.material);
  const brain = new Brain({ ...deps, store, agents, instanceUuid }, config.options);
  await brain.start();
  shutdown.add("brain", 15_000, () => brain.stop());
  return brain;
}

/** The four listeners. Returns their addresses. */
function listenAll(
  config: BrainConfig,
  deps: Deps,
  parts: { shutdown: ShutdownGroup; brain: Brain; tls: { cluster: WatchedTls; admin: WatchedTls } },
): RunningBrain["urls"] {
  const { brain } = parts;
  const onError = (error: unknown): void => logFailure(deps.log, error);
  const apps = {
    metrics: metricsApp(brainMetrics(brain)),
    health: healthApp(brain),
    cluster: clusterApp(brain, onError),
    admin: adminApp(brain, onError),
  };
  return startListeners(config, deps, { ...parts, apps });
}

/** Keeps other daemons off the folder. Throws `FailedPrecondition` if one has it. */
export async function takeLock(dataDir: string): Promise<{ release(): Promise<void> }> {
  try {
    return await nodeFileSystem().lock(join(dataDir, "LOCK"));
  } catch (error) {
    if (!(error instanceof FileSystemError) || error.code !== "EWOULDBLOCK") throw error;
    throw new AppError(
      "FailedPrecondition",
      `${dataDir}: another process uses this data folder; stop it, or give another --data-dir`,
      {
        data: { field: "--data-dir", got: dataDir },
        cause: error,
      },
    );
  }
}
