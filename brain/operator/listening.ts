/** Where a brain in Kubernetes is asked: its four listeners, the endpoint file, and the look at certificates and tokens. */
import { makeDurableFolder } from "@couchestor/common/runtime/durable-folder.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { ShutdownGroup } from "@couchestor/common/runtime/shutdown.ts";
import { type Watched, type WatchedTls, watchTls } from "@couchestor/common/tls/reload.ts";
import { announce, type ListenerUrls, startListeners } from "../http/listeners.ts";
import type { Part } from "../runtime/manager.ts";
import { takeLock } from "../wiring.ts";
import { leaderApp, metricsOf, type TermApps } from "./leader-apps.ts";
import type { OperatorParts } from "./parts.ts";
import { type Readiness, readinessApp } from "./readiness.ts";

export interface Listening {
  /** What answers while this brain leads. */
  apps: () => TermApps | undefined;
  tls: { cluster: WatchedTls; admin: WatchedTls; peers: WatchedTls };
  readiness: Readiness;
  /** Who leads, for the answer to those who ask the wrong brain. */
  leader: () => string;
  /** Told when all of them listen. */
  started: (urls: ListenerUrls) => void;
}

/** The four listeners, the endpoint file and the look at files, as one part that starts last and stops first. */
export function listenersPart(
  parts: OperatorParts,
  { apps: current, tls, readiness, leader, started }: Listening,
): Part {
  const { config, deps, metrics, credentials } = parts;
  const { clock, logger } = deps;
  const shutdown = new ShutdownGroup("listeners", clock);
  return {
    name: "listeners",
    start: async () => {
      const { dataDir } = config.brain;
      if (dataDir !== "") {
        await makeDurableFolder(nodeFileSystem(), dataDir);
        const lock = await takeLock(dataDir);
        shutdown.add("lock", 1000, () => lock.release());
      }
      const apps = {
        metrics: metricsOf(metrics(), () => current()?.registry),
        health: readinessApp(readiness),
        cluster: leaderApp(() => current()?.cluster, leader),
        admin: leaderApp(() => current()?.admin, leader),
      };
      const urls = startListeners(config.brain, { clock, log: logger }, { shutdown, tls, apps });
      const watched: Watched[] = [...Object.values(tls), ...Object.values(credentials)];
      watchTls(watched, { clock, log: logger }, shutdown);
      if (dataDir !== "") await announce(dataDir, { instanceUuid: deps.prng.uuid(), urls }, shutdown);
      logger.info({ ...urls }, "brain listens");
      started(urls);
    },
    stop: async () => {
      for (const { name, outcome, error } of await shutdown.run())
        if (outcome !== "done")
          logger.error({ step: name, outcome, err: error }, "a step of the shutdown did not end well");
    },
    stopMsMax: 20_000,
  };
}
