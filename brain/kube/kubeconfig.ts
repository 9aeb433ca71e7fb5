/** A kubeconfig, read by client-node. The only file that imports it. */
import { dirname, resolve } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type Cluster, KubeConfig, type User } from "@kubernetes/client-node";
import { bearer, type Credentials } from "./access.ts";

export interface Kubeconfig {
  server: string;
  namespace: string;
  source: string;
  /** Certificates from their files, and what the user's plugin says. */
  credentials(): Promise<Credentials>;
}

/** Reads the files; a name may stand in one of them only. The first one's context is current. Throws `InvalidArgument` that says what is missing in which. */
export async function readKubeconfig(files: readonly string[], context?: string): Promise<Kubeconfig> {
  const source = `kubeconfig ${files.join(", ")}`;
  const config = await load(files, source);
  if (context !== undefined) config.setCurrentContext(context);
  const name = config.getCurrentContext() ?? "";
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  if (cluster === null) throw invalid(source, `context "${name}" or its cluster is not in it`, { context: name });
  if (user === null) throw invalid(source, `context "${name}" names a user that is not in it`, { context: name });
  const server = checkServer(cluster, source);
  return {
    server,
    namespace: config.getContextObject(name)?.namespace || "default",
    source: `${source}, context ${name}`,
    credentials: () => credentialsOf(config, cluster, user, source),
  };
}

async function load(files: readonly string[], source: string): Promise<KubeConfig> {
  const config = new KubeConfig();
  try {
    for (const [index, file] of files.entries()) {
      const one = index === 0 ? config : new KubeConfig();
      one.loadFromFile(file);
      await addTokenFiles(one, file);
      if (one !== config) config.mergeConfig(one, true);
    }
    return config;
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw invalid(source, `it can't be read: ${cause instanceof Error ? cause.message : cause}`, {}, cause);
  }
}

/** The field `tokenFile`, which client-node doesn't know: given to its own reader of token files. */
async function addTokenFiles(config: KubeConfig, file: string): Promise<void> {
  const raw = Bun.YAML.parse(await Bun.file(file).text()) as {
    users?: { name?: string; user?: { tokenFile?: string } }[];
  } | null;
  for (const entry of raw?.users ?? []) {
    const tokenFile = entry.user?.tokenFile;
    if (tokenFile === undefined) continue;
    const user = config.getUsers().find((candidate) => candidate.name === entry.name) as
      | { token?: string; tokenFile?: string }
      | undefined;
    // As kubectl has it, the file wins over a token that stands beside it.
    if (user !== undefined) user.tokenFile = resolve(dirname(file), tokenFile);
  }
}

function checkServer(cluster: Cluster, source: string): string {
  const url = URL.parse(cluster.server ?? "");
  if (url === null || !["https:", "http:"].includes(url.protocol)) {
    throw invalid(source, `cluster ${cluster.name}: server is "${cluster.server}", allowed is an https URL`, {
      field: "server",
    });
  }
  if (url.protocol === "http:" && !["127.0.0.1", "localhost", "[::1]"].includes(url.hostname)) {
    throw invalid(
      source,
      `cluster ${cluster.name}: ${cluster.server} would send credentials in the clear; http is allowed to this machine only`,
      { field: "server" },
    );
  }
  return cluster.server.replace(/\/+$/, "");
}

async function credentialsOf(config: KubeConfig, cluster: Cluster, user: User, source: string): Promise<Credentials> {
  const options: Parameters<KubeConfig["applyToHTTPSOptions"]>[0] = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (cause) {
    throw new AppError(
      "FailedPrecondition",
      `${source}: credentials of user ${user.name}: ${cause instanceof Error ? cause.message : cause}`,
      { cause, retryable: true },
    );
  }
  const tokenFile = (user as { tokenFile?: string }).tokenFile;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value);
  if (options.auth) headers["authorization"] = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  if (tokenFile !== undefined) Object.assign(headers, bearer(await Bun.file(tokenFile).text()));
  const { ca, cert, key } = options;
  return {
    headers,
    tls: {
      ...(ca ? { ca: String(ca) } : {}),
      ...(cert ? { cert: String(cert) } : {}),
      ...(key ? { key: String(key) } : {}),
      ...(cluster.tlsServerName ? { serverName: cluster.tlsServerName } : {}),
      ...(cluster.skipTLSVerify ? { rejectUnauthorized: false } : {}),
    },
  };
}

function invalid(source: string, why: string, data: Record<string, unknown>, cause?: unknown): AppError {
  return new AppError("InvalidArgument", `${source}: ${why}`, { data, ...(cause === undefined ? {} : { cause }) });
}
