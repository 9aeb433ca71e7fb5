/** The brain's composition root: the only file that joins its parts with the store, the network and the file system. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import { type ListenAddress, type Listener, startListener } from "@couchestor/common/http/listener.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { removeEndpoint, writeEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { ShutdownGroup, type ShutdownStepResult } from "@couchestor/common/runtime/shutdown.ts";
import { version } from "@couchestor/common/runtime/version.ts";
import { loadTlsMaterial, type TlsFiles, type TlsMaterial } from "@couchestor/common/tls/material.ts";
import type { Hono } from "hono";
import { Brain } from "./brain.ts";
import type { BrainConfig } from "./config.ts";
import { adminApp } from "./http/admin-app.ts";
import { httpAgents } from "./http/agent-client.ts";
import { clusterApp } from "./http/cluster-app.ts";
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

const bodyBytesMax = 8 * 1024 * 1024;
const tlsFlags = "--tls-cert, --tls-key, and --agent-ca or --admin-client-ca";

/** Starts a brain on its data folder. Throws `FailedPrecondition` if another brain has it, `InvalidArgument` for what the flags got wrong. */
export async function startBrain(
  config: BrainConfig,
  deps: { clock: Clock; prng: Prng; log: Log },
): Promise<RunningBrain> {
  const { clock, prng, log } = deps;
  const shutdown = new ShutdownGroup("brain", clock);
  try {
    await mkdir(config.dataDir, { recursive: true });
    const lock = await takeLock(config.dataDir);
    shutdown.add("lock", 1000, () => lock.release());
    const [clusterTls, adminTls, peerTls] = await Promise.all(
      [config.clusterTls, config.adminTls, config.peerTls].map(materialOf),
    );
    const store = await openSqliteStore(join(config.dataDir, "couchestor.db"), { clock, prng });
    shutdown.add("store", 5000, () => store.close());
    const instanceUuid = prng.uuid();
    const brain = new Brain(
      { store, clock, prng, log, agents: httpAgents(() => peerTls), instanceUuid },
      config.options,
    );
    await brain.start();
    shutdown.add("brain", 15_000, () => brain.stop());
    const listen = (
      name: string,
      address: ListenAddress,
      app: Hono,
      tls: TlsMaterial | undefined,
      plainAllowed = false,
    ): Listener => {
      const listener = startListener({
        name,
        address,
        tls,
        tlsFlags,
        plainAllowed,
        bodyBytesMax,
        clock,
        handle: (request) => app.fetch(request),
        onError: (error) => log.error({ listener: name, error: String(error) }, "a request failed"),
      });
      shutdown.add(`http/${name}`, 5000, () => listener.stop(3000));
      return listener;
    };
    const onError = (error: unknown): void => logFailure(log, error);
    const metrics = listen("metrics", config.metricsListen, metricsApp(brainMetrics(brain)), undefined, true);
    const health = listen("health", config.healthListen, healthApp(brain), undefined, true);
    const cluster = listen("cluster", config.listen, clusterApp(brain, onError), clusterTls);
    const admin = listen("admin", config.adminListen, adminApp(brain, onError), adminTls);
    const urls = { cluster: cluster.url, admin: admin.url, metrics: metrics.url, health: health.url };
    await writeEndpoint(config.dataDir, {
      pid: process.pid,
      role: "brain",
      version,
      instanceUuid,
      clusterUrl: urls.cluster,
      adminUrl: urls.admin,
      metricsUrl: urls.metrics,
      healthUrl: urls.health,
    });
    shutdown.add("endpoint", 1000, () => removeEndpoint(config.dataDir, instanceUuid));
    log.info({ ...urls, dataDir: config.dataDir }, "brain is ready");
    return { brain, urls, stop: () => shutdown.run() };
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function takeLock(dataDir: string): Promise<{ release(): Promise<void> }> {
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

function materialOf(files: TlsFiles | undefined): Promise<TlsMaterial | undefined> {
  return files ? loadTlsMaterial(files) : Promise.resolve(undefined);
}

/** What a caller got wrong is for the caller; what is ours goes to the log. */
function logFailure(log: Log, error: unknown): void {
  const app = toAppError(error);
  if (app.status >= 500)
    log.error({ code: app.code, error: app.message, cause: String(app.cause ?? "") }, "a request failed");
  else log.debug({ code: app.code, error: app.message }, "a request was refused");
}
