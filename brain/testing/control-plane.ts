/**
 * A real control plane as a test fixture: etcd and kube-apiserver on loopback in a folder of their own, with certificates and users made
 * there; with `nodes` also the controllers, the scheduler and nodes that kwok plays. Nothing of it outlives the test process.
 */
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { type AuditedWrite, auditedWrite, auditPolicy } from "./audit.ts";
import { type PemPair, signingKeys, type TestAuthority, testAuthority } from "./certificates.ts";
import {
  apiServerCommand,
  controllersCommand,
  etcdCommand,
  kwokCommand,
  nodeObject,
  schedulerCommand,
} from "./control-plane-commands.ts";
import { freePorts, type RunningProgram, removeWhenOrphaned, startProgram, until } from "./processes.ts";

export interface TestUser {
  name: string;
  groups?: readonly string[];
}

export interface ControlPlaneOptions {
  /** Users with tokens, beside `admin` (group system:masters). RBAC decides what they may do. */
  users?: readonly TestUser[];
  /** Starts the controllers and the scheduler as well. Default: when there are nodes. */
  controllers?: boolean;
  /** How many nodes kwok plays. */
  nodes?: number;
  /** Keeps a record of every write, for `writes`. */
  audit?: boolean;
}

const readyMsMax = 120_000;
const portAttemptsMax = 3;

/** Starts one. Throws with the end of the program's output if it can't. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const dir = await mkdtemp(join(tmpdir(), "couchestor-control-plane-"));
  const authority = await testAuthority("control plane CA");
  for (let attempt = 1; ; attempt++) {
    const plane = new ControlPlane(dir, authority, options);
    try {
      await plane.start();
      return plane;
    } catch (error) {
      await plane.stop();
      // Another process may have taken a port between our looking and the program's binding.
      if (attempt === portAttemptsMax || !/address already in use/.test(String(error))) throw error;
    }
  }
}

/** The one that all test files of a process share, with the users `brain`, `nobody` and `watcher`. It ends with the process. */
export function sharedControlPlane(): Promise<ControlPlane> {
  const holder = globalThis as { [sharedKey]?: Promise<ControlPlane> };
  holder[sharedKey] ??= startControlPlane({ users: ["brain", "nobody", "watcher"].map((name) => ({ name })) });
  return holder[sharedKey];
}
const sharedKey = Symbol.for("couchestor.test.control-plane");

export class ControlPlane implements AsyncDisposable {
  readonly dir: string;
  readonly authority: TestAuthority;
  readonly #options: ControlPlaneOptions;
  readonly #tokens = new Map<string, string>();
  readonly #running: RunningProgram[] = [];
  readonly #keeper: { release(): void };
  #apiServer: RunningProgram | undefined;
  #ports: readonly number[] = [];

  constructor(dir: string, authority: TestAuthority, options: ControlPlaneOptions) {
    this.dir = dir;
    this.authority = authority;
    this.#options = options;
    this.#keeper = removeWhenOrphaned(dir);
  }

  /** `https://127.0.0.1:PORT`. */
  get server(): string {
    return `https://127.0.0.1:${this.#ports[2]}`;
  }

  /** The certificate authority of server and client certificates. */
  get caFile(): string {
    return join(this.dir, "ca.crt");
  }

  /** The administrator's kubeconfig, with a token. */
  get kubeconfig(): string {
    return join(this.dir, "kubeconfig");
  }

  token(user = "admin"): string {
    const token = this.#tokens.get(user);
    if (token === undefined) throw new Error(`the control plane has no user ${user}`);
    return token;
  }

  /** A client certificate for any user, without a restart. */
  clientCertificate(user: string, groups: readonly string[] = []): Promise<PemPair> {
    return this.authority.client(user, groups);
  }

  /** Writes a kubeconfig for a user of this control plane into its folder and returns the path. */
  async kubeconfigOf(user: Record<string, unknown>, name = `kubeconfig-${systemPrng.u32()}`): Promise<string> {
    const path = join(this.dir, name);
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster: { server: this.server, "certificate-authority": this.caFile } }],
      users: [{ name: "user", user }],
      contexts: [{ name: "test", context: { cluster: "test", user: "user" } }],
      "current-context": "test",
    };
    await writeFile(path, JSON.stringify(config), { mode: 0o600 });
    return path;
  }

  /** A request as the administrator, for what a test arranges. Throws unless it is answered with 2xx. */
  async request(method: string, path: string, body?: unknown, contentType = "application/json"): Promise<unknown> {
    const response = await fetch(this.server + path, {
      method,
      headers: { authorization: `Bearer ${this.token()}`, "content-type": contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      tls: { ca: this.authority.cert },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 400)}`);
    return text.startsWith("{") ? JSON.parse(text) : text;
  }

  async start(): Promise<void> {
    this.#ports = await freePorts(3);
    await this.#writeFiles();
    const etcd = this.#run("etcd", etcdCommand(this.#place()));
    await until("etcd answers", async () => (await fetch(`${this.#etcdUrl()}/health`)).ok, waiting(etcd));
    await this.startApiServer();
    const nodes = this.#options.nodes ?? 0;
    if (this.#options.controllers ?? nodes > 0) {
      this.#run("kube-controller-manager", controllersCommand(this.#place()));
      this.#run("kube-scheduler", schedulerCommand(this.#place()));
    }
    if (nodes === 0) return;
    this.#run("kwok", kwokCommand(this.#place()));
    for (let i = 1; i <= nodes; i++) await this.request("POST", "/api/v1/nodes", nodeObject(`node-${i}`));
    await until("all nodes are ready", () => this.#nodesReady(nodes), { timeoutMs: readyMsMax, everyMs: 100 });
  }

  /** Starts the API server at the same address, with everything it had, and waits until it is ready. */
  async startApiServer(): Promise<void> {
    if (this.#apiServer !== undefined) throw new Error("the API server runs already");
    const apiServer = startProgram(
      "kube-apiserver",
      apiServerCommand(this.#place()),
      join(this.dir, "kube-apiserver.log"),
    );
    this.#apiServer = apiServer;
    await until("the API server is ready", () => this.request("GET", "/readyz"), waiting(apiServer));
  }

  /** Ends the API server at once (`SIGKILL`) or in order. etcd and all data stay. */
  async stopApiServer(how: "kill" | "gracefully" = "kill"): Promise<void> {
    const apiServer = this.#apiServer;
    this.#apiServer = undefined;
    await apiServer?.stop(how === "kill" ? 0 : 10_000);
  }

  async restartApiServer(): Promise<void> {
    await this.stopApiServer();
    await this.startApiServer();
  }

  /** The API server stands still: connections stay open, and nothing answers. */
  pauseApiServer(): void {
    this.#apiServer?.signal("SIGSTOP");
  }

  resumeApiServer(): void {
    this.#apiServer?.signal("SIGCONT");
  }

  /** Writes that were answered so far: who, what, and how it ended. Only with `audit`. */
  async writes(): Promise<AuditedWrite[]> {
    const text = await readFile(join(this.dir, "audit.log"), "utf8");
    const whole = text.slice(0, text.lastIndexOf("\n") + 1).trimEnd();
    return whole === "" ? [] : whole.split("\n").map(auditedWrite);
  }

  /** Drops all revisions but the newest from etcd, as the API server does with those older than minutes. */
  async compact(): Promise<void> {
    const post = async (path: string, body: unknown) => {
      const response = await fetch(`${this.#etcdUrl()}/v3/${path}`, { method: "POST", body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as { header: { revision: string } };
    };
    const { header } = await post("maintenance/status", {});
    await post("kv/compaction", { revision: header.revision, physical: true });
  }

  /** Stops everything and removes the folder. */
  async stop(): Promise<void> {
    this.resumeApiServer();
    const programs = [...this.#running.splice(0), ...(this.#apiServer ? [this.#apiServer] : [])];
    this.#apiServer = undefined;
    await Promise.all(programs.map((program) => program.stop(0)));
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
    this.#keeper.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #run(name: string, command: readonly string[]): RunningProgram {
    const program = startProgram(name, command, join(this.dir, `${name}.log`));
    this.#running.push(program);
    return program;
  }

  #place() {
    const [etcdPort = 0, peerPort = 0, apiPort = 0] = this.#ports;
    return {
      dir: this.dir,
      etcdPort,
      peerPort,
      apiPort,
      withControllers: this.#options.controllers ?? (this.#options.nodes ?? 0) > 0,
      audit: this.#options.audit ?? false,
    };
  }

  #etcdUrl(): string {
    return `http://127.0.0.1:${this.#ports[0]}`;
  }

  async #nodesReady(count: number): Promise<boolean> {
    const list = (await this.request("GET", "/api/v1/nodes")) as {
      items: { status: { conditions?: { type: string; status: string }[] } }[];
    };
    const ready = list.items.filter((node) =>
      node.status.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True"),
    );
    return ready.length >= count;
  }

  async #writeFiles(): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    const serving = await this.authority.server(["127.0.0.1", "localhost"]);
    const signing = await signingKeys();
    const users: TestUser[] = [{ name: "admin", groups: ["system:masters"] }, ...(this.#options.users ?? [])];
    for (const user of users) this.#tokens.set(user.name, Buffer.from(systemPrng.bytes(16)).toString("hex"));
    const tokens = users.map(
      (user, i) => `${this.token(user.name)},${user.name},uid-${i},"${(user.groups ?? []).join(",")}"`,
    );
    const files: Record<string, string> = {
      "ca.crt": this.authority.cert,
      "apiserver.crt": serving.cert,
      "apiserver.key": serving.key,
      "sa.key": signing.privateKey,
      "sa.pub": signing.publicKey,
      "audit.json": JSON.stringify(auditPolicy),
      "tokens.csv": `${tokens.join("\n")}\n`,
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.dir, name), text, { mode: 0o600 });
    await this.kubeconfigOf({ token: this.token() }, "kubeconfig");
  }
}

/** Waits for a program, and no longer once it has ended. */
function waiting(program: RunningProgram) {
  return {
    timeoutMs: readyMsMax,
    giveUp: () => {
      if (program.exitCode !== null) throw new Error(`${program.name} ended:\n${program.logTail()}`);
    },
  };
}
