/** The brain's four listeners, each with its own certificates and limits. */
import { toAppError } from "@couchestor/common/errors/http.ts";
import { startListener } from "@couchestor/common/http/listener.ts";
import type { ListenAddress } from "@couchestor/common/http/listener-options.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { removeEndpoint, writeEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import type { ShutdownGroup } from "@couchestor/common/runtime/shutdown.ts";
import { version } from "@couchestor/common/runtime/version.ts";
import type { WatchedTls } from "@couchestor/common/tls/reload.ts";
import type { BrainConfig } from "../config.ts";
import type { Log } from "../ports.ts";

const bodyBytesMax = 8 * 1024 * 1024;
const tlsFlags = "--tls-cert, --tls-key, and --agent-ca or --admin-client-ca";

export interface ListenerUrls {
  cluster: string;
  admin: string;
  metrics: string;
  health: string;
}

/** What answers; a hono app is one. */
export interface App {
  fetch(request: Request): Response | Promise<Response>;
}

/** Starts the four and adds their stops to `shutdown`. Returns their addresses. */
export function startListeners(
  config: Pick<BrainConfig, "metricsListen" | "healthListen" | "listen" | "adminListen">,
  { clock, log }: { clock: Clock; log: Log },
  parts: {
    shutdown: ShutdownGroup;
    tls: { cluster: WatchedTls; admin: WatchedTls };
    apps: Record<keyof ListenerUrls, App>;
  },
): ListenerUrls {
  const { shutdown, tls, apps } = parts;
  const listen = (name: keyof ListenerUrls, address: ListenAddress, watched?: WatchedTls): string => {
    const listener = startListener({
      name,
      address,
      tls: watched?.material,
      tlsFlags,
      plainAllowed: watched === undefined,
      bodyBytesMax,
      clock,
      handle: (request) => apps[name].fetch(request),
      onError: (error) => log.error({ listener: name, error: String(error) }, "a request failed"),
    });
    if (watched) watched.listener = listener;
    shutdown.add(`http/${name}`, 5000, () => listener.stop(3000));
    return listener.url;
  };
  return {
    metrics: listen("metrics", config.metricsListen),
    health: listen("health", config.healthListen),
    cluster: listen("cluster", config.listen, tls.cluster),
    admin: listen("admin", config.adminListen, tls.admin),
  };
}

/** What a caller got wrong is for the caller; what is ours goes to the log. */
export function logFailure(log: Log, error: unknown): void {
  const app = toAppError(error);
  if (app.status >= 500)
    log.error({ code: app.code, error: app.message, cause: String(app.cause ?? "") }, "a request failed");
  else log.debug({ code: app.code, error: app.message }, "a request was refused");
}

/** Writes where the brain listens into its data folder, for the command line; the shutdown takes it away. */
export async function announce(
  dataDir: string,
  { instanceUuid, urls }: { instanceUuid: string; urls: ListenerUrls },
  shutdown: ShutdownGroup,
): Promise<void> {
  await writeEndpoint(dataDir, {
    pid: process.pid,
    role: "brain",
    version,
    instanceUuid,
    clusterUrl: urls.cluster,
    adminUrl: urls.admin,
    metricsUrl: urls.metrics,
    healthUrl: urls.health,
  });
  shutdown.add("endpoint", 1000, () => removeEndpoint(dataDir, instanceUuid));
}
