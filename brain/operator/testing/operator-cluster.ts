/**
 * Everything a brain in Kubernetes meets: a real API server with the definitions and permissions of `deploy/`, a real Prometheus with an
 * hour of history, a simulated Mayastor; and brains as processes of their own, under the brain's service account.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Endpoint, readEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import { brainLease, brainNamespace, brainServiceAccount } from "../../installation/needs.ts";
import type { ControlPlane, ControlPlaneOptions } from "../../testing/control-plane.ts";
import { startControlPlane } from "../../testing/control-plane.ts";
import { applyObjects, deployedObjects } from "../../testing/installed-plane.ts";
import type { MayastorSim } from "../../testing/mayastor/at-rest.ts";
import { type RunningProgram, startProgram, until } from "../../testing/processes.ts";
import type { Prometheus } from "../../testing/prometheus.ts";

/** The program: from source, or the compiled one that COUCHESTOR_BINARY names. */
const binary = process.env["COUCHESTOR_BINARY"];
const program = binary ? [binary] : [process.execPath, join(import.meta.dir, "../../../couchestor.ts")];
const leasePath = `/apis/coordination.k8s.io/v1/namespaces/${brainNamespace}/leases`;

/** A plane with the definitions, the brain's permissions, the slices that lead to the leader, and a lease that nobody holds. */
export async function operatorPlane(options: Pick<ControlPlaneOptions, "audit"> = {}): Promise<ControlPlane> {
  const plane = await startControlPlane(options);
  const access = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
  const wanted = new Set([...access, "Namespace", "EndpointSlice"]);
  const manifests = await deployedObjects("manifests");
  const objects = manifests.filter(({ kind }) => wanted.has(kind) || kind === "ValidatingWebhookConfiguration");
  await applyObjects(plane, [...(await deployedObjects("crds")), ...objects]);
  await freeLease(plane);
  return plane;
}

/** Makes the lease, held by nobody, so that no brain waits for an unknown holder. */
export async function freeLease(plane: ControlPlane): Promise<void> {
  await plane.request("POST", leasePath, {
    metadata: { name: brainLease },
    spec: { holderIdentity: "", leaseDurationSeconds: 1 },
  });
}

/** Takes the lease from a holder that is known to be dead. */
export async function releaseLease(plane: ControlPlane): Promise<void> {
  const nobody = { spec: { holderIdentity: "" } };
  await plane.request("PATCH", `${leasePath}/${brainLease}`, nobody, "application/merge-patch+json");
}

/** Who holds the lease. */
export async function leaseHolder(plane: ControlPlane): Promise<string> {
  const lease = (await plane.request("GET", `${leasePath}/${brainLease}`)) as { spec: { holderIdentity?: string } };
  return lease.spec.holderIdentity ?? "";
}

/** A folder with what a pod of the brain's service account finds in its own: token, authority and namespace. */
export async function serviceAccountFolder(plane: ControlPlane): Promise<string> {
  const path = `/api/v1/namespaces/${brainNamespace}/serviceaccounts/${brainServiceAccount}/token`;
  const answer = (await plane.request("POST", path, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { expirationSeconds: 3600 },
  })) as { status: { token: string } };
  // It goes with the plane's.
  const dir = join(plane.dir, "service-account");
  await mkdir(dir, { recursive: true });
  const files = { token: answer.status.token, "ca.crt": plane.authority.cert, namespace: brainNamespace };
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text, { mode: 0o600 });
  return dir;
}

export interface BrainProcessOptions {
  plane: ControlPlane;
  /** Of `serviceAccountFolder`. */
  credentials: string;
  prometheus: Pick<Prometheus, "url">;
  mayastor: Pick<MayastorSim, "url">;
  name?: string;
  flags?: readonly string[];
  /** It has its decisions carried out; without it, it only looks and shows. */
  moves?: boolean;
}

/** A brain as a process. */
export class BrainProcess implements AsyncDisposable {
  readonly dataDir: string;
  readonly process: RunningProgram;

  private constructor(dataDir: string, process: RunningProgram) {
    this.dataDir = dataDir;
    this.process = process;
  }

  static async start(options: BrainProcessOptions): Promise<BrainProcess> {
    const { plane, credentials, prometheus, mayastor, name = "brain-1", flags = [], moves = false } = options;
    const dataDir = await mkdtemp(join(tmpdir(), "couchestor-operator-"));
    const { hostname, port } = new URL(plane.server);
    const command = [
      // As in a pod, and with nothing of a kubeconfig that this machine may have.
      ...["env", "-u", "KUBECONFIG", `KUBERNETES_SERVICE_HOST=${hostname}`, `KUBERNETES_SERVICE_PORT=${port}`],
      `BUN_JSC_forceRAMSize=${512 * 1024 * 1024}`,
      ...[...program, "brain", "--store=kubernetes", `--service-account-dir=${credentials}`],
      ...[`--identity=${name}`, `--data-dir=${dataDir}`, "--reconcile-every=1s"],
      ...[`--prometheus-url=${prometheus.url}`, `--mayastor-url=${mayastor.url}`, "--log-level=debug"],
      ...["--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0", "--webhook-listen=127.0.0.1:0"],
      ...(moves ? flags : ["--dry-run", ...flags]),
    ];
    return new BrainProcess(dataDir, startProgram(name, command, join(dataDir, "log")));
  }

  /** Where it listens. */
  async endpoint(): Promise<Endpoint> {
    return await until("the brain listens", () => readEndpoint(this.dataDir), {
      giveUp: () => {
        if (this.process.exitCode !== null) throw new Error(`the brain ended:\n${this.process.logTail()}`);
      },
    });
  }

  async readiness(): Promise<{ status: number; checks: Record<string, string> }> {
    const { healthUrl } = await this.endpoint();
    const response = await fetch(`${healthUrl}/readyz`);
    const { checks } = (await response.json()) as { checks: Record<string, string> };
    return { status: response.status, checks };
  }

  async ready(timeoutMs = 60_000): Promise<void> {
    let last: unknown;
    const ready = async () => {
      last = await this.readiness();
      return (last as { status: number }).status === 200;
    };
    await until("the brain is ready", ready, { timeoutMs }).catch(async (cause: unknown) => {
      throw new Error(`not ready: ${JSON.stringify(last)}\n${this.process.logTail()}`, { cause });
    });
  }

  /** A metric's value; undefined if it isn't there. */
  async metric(line: string): Promise<number | undefined> {
    const { metricsUrl } = await this.endpoint();
    const text = await (await fetch(`${metricsUrl}/metrics`)).text();
    const found = text.split("\n").find((candidate) => candidate.startsWith(`${line} `));
    return found === undefined ? undefined : Number(found.slice(line.length + 1));
  }

  /** Runs `couchestor` against this brain. */
  async cli(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const child = Bun.spawn([...program, ...argv, "--data-dir", this.dataDir], {
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code: await child.exited, stdout, stderr };
  }

  log(): Promise<string> {
    return Bun.file(join(this.dataDir, "log")).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.signal("SIGCONT");
    await this.process.stop(0);
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** An agent as a process, with a pool in a folder; `brain` is where it asks. */
export class AgentProcess implements AsyncDisposable {
  readonly name: string;
  readonly process: RunningProgram;
  readonly #dir: string;

  private constructor(name: string, dir: string, process: RunningProgram) {
    this.name = name;
    this.#dir = dir;
    this.process = process;
  }

  static async start(name: string, brain: string): Promise<AgentProcess> {
    const dir = await mkdtemp(join(tmpdir(), "couchestor-operator-agent-"));
    const listen = ["--metrics-listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"];
    const state = [`--data-dir=${join(dir, "state")}`, `--pool=default=${join(dir, "pool")}`];
    await mkdir(join(dir, "pool"));
    const command = [...program, "agent", `--node-name=${name}`, `--brain=${brain}`, ...state, ...listen];
    return new AgentProcess(name, dir, startProgram(name, command, join(dir, "log")));
  }

  /** Waits until this brain says that it hears of the agent. */
  async heardBy(brain: BrainProcess): Promise<void> {
    let last: unknown;
    const check = async () => {
      last = await brain.cli("node", "list", "--json");
      const { nodes = [] } = JSON.parse((last as { stdout: string }).stdout) as { nodes?: Node[] };
      return nodes.some(({ nodeName, state }) => nodeName === this.name && state === "Online");
    };
    await until(`${this.name} is heard`, check, { everyMs: 200 }).catch((cause: unknown) => {
      throw new Error(`${this.name}: ${JSON.stringify(last)}\n${this.process.logTail()}`, { cause });
    });
  }

  log(): Promise<string> {
    return Bun.file(join(this.#dir, "log")).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.stop(2_000);
    await rm(this.#dir, { recursive: true, force: true });
  }
}

interface Node {
  nodeName: string;
  state: string;
}
