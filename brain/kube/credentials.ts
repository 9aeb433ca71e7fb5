/**
 * Where the API server is and how we show who we are. In a pod that is the service account's folder; elsewhere a kubeconfig, which
 * client-node reads with all its ways (client certificates, exec plugins, OIDC). client-node is loaded only then: it takes some 50 MB.
 * Files are read again every few seconds, because tokens and certificates rotate.
 */
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { SingleFlight } from "@couchestor/common/resilience/single-flight.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { bearer, type ClusterAccess, type Credentials } from "./access.ts";

export interface AccessOptions {
  clock: Clock;
  /** A kubeconfig file; wins over everything else. */
  kubeconfig?: string | undefined;
  /** A context in it, other than the current one. */
  context?: string | undefined;
  env?: Record<string, string | undefined>;
  /** Where the service account's files are. */
  serviceAccountDir?: string;
}

const serviceAccountDirDefault = "/var/run/secrets/kubernetes.io/serviceaccount";
const keptMs = 10_000;

/**
 * Finds the cluster: the kubeconfig given, KUBECONFIG, the pod's service account, the user's own kubeconfig. Throws `FailedPrecondition`
 * when there is none of these, `InvalidArgument` when one can't be used.
 */
export async function findCluster(options: AccessOptions): Promise<ClusterAccess> {
  const env = options.env ?? process.env;
  const fromEnv = (env["KUBECONFIG"] ?? "").split(delimiter).filter((file) => file !== "");
  if (options.kubeconfig !== undefined) return await kubeconfigAccess([options.kubeconfig], options);
  if (fromEnv.length > 0) return await kubeconfigAccess(fromEnv, options);
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"];
  if (host && port) return await inClusterAccess(host, port, options);
  const own = join(env["HOME"] || homedir(), ".kube", "config");
  if (await exists(own)) return await kubeconfigAccess([own], options);
  throw new AppError(
    "FailedPrecondition",
    `no Kubernetes cluster is configured: this is not a pod (KUBERNETES_SERVICE_HOST is not set), KUBECONFIG is not set, and there is no ${own}`,
  );
}

async function inClusterAccess(host: string, port: string, options: AccessOptions): Promise<ClusterAccess> {
  const dir = options.serviceAccountDir ?? serviceAccountDirDefault;
  const read = async (): Promise<Credentials> => {
    const token = await readText(join(dir, "token"));
    const ca = await readText(join(dir, "ca.crt"));
    return { headers: bearer(token), tls: { ca } };
  };
  const kept = keep(options.clock, read);
  await kept();
  const namespace = await readFile(join(dir, "namespace"), "utf8").catch(() => "");
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    namespace: namespace.trim() || "default",
    source: `the service account in ${dir}`,
    credentials: kept,
  };
}

async function kubeconfigAccess(files: readonly string[], options: AccessOptions): Promise<ClusterAccess> {
  const { readKubeconfig } = await import("./kubeconfig.ts");
  const first = await readKubeconfig(files, options.context);
  let current = first;
  let seen = await versions(files);
  const read = async (anew: boolean): Promise<Credentials> => {
    // A changed file, or a refusal: begin from the file. Otherwise plugins keep what they fetched until it ends.
    const now = await versions(files);
    if (anew || now !== seen) current = await readKubeconfig(files, options.context);
    seen = now;
    if (current.server !== first.server) {
      throw new AppError(
        "FailedPrecondition",
        `${first.source} now names another server, ${current.server}: start again for that`,
      );
    }
    return await current.credentials();
  };
  const kept = keep(options.clock, read);
  await kept();
  return { server: first.server, namespace: first.namespace, source: first.source, credentials: kept };
}

/** `read`, at most every `keptMs`, once for all who ask meanwhile. */
function keep(clock: Clock, read: (anew: boolean) => Promise<Credentials>): (anew?: boolean) => Promise<Credentials> {
  const flights = new SingleFlight<boolean, Credentials>();
  let kept: { credentials: Credentials; atMs: number } | undefined;
  return async (anew = false) => {
    if (!anew && kept !== undefined && clock.monotonicMs() - kept.atMs < keptMs) return kept.credentials;
    return await flights.run(anew, async () => {
      const credentials = await read(anew);
      // One object as long as nothing changes, so that connections are used again.
      const same = kept !== undefined && Bun.deepEquals(kept.credentials, credentials);
      kept = { credentials: same && kept ? kept.credentials : credentials, atMs: clock.monotonicMs() };
      return kept.credentials;
    });
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new AppError(
      "FailedPrecondition",
      `${path} can't be read (${cause instanceof Error ? cause.message : cause})`,
      {
        data: { path },
        cause,
        // A token is replaced by renaming links; a moment later it is there again.
        retryable: true,
      },
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function versions(files: readonly string[]): Promise<string> {
  const stats = await Promise.all(files.map((file) => stat(file).catch(() => undefined)));
  return stats.map((s) => (s === undefined ? "-" : `${s.mtimeMs}/${s.size}/${s.ino}`)).join();
}
