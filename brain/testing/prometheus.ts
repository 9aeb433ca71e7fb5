/**
 * A real Prometheus as a test fixture: on a free port, in a folder of its own, scraping what it is told to; with history it has an hour
 * of samples at once, made by promtool. Nothing of it outlives the test process.
 */
import { accessSync, constants, rmSync } from "node:fs";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PemPair } from "./certificates.ts";
import { assetsDirectory } from "./control-plane-binaries.ts";
import { freePorts, type RunningProgram, removeWhenOrphaned, startProgram, until } from "./processes.ts";

export interface PrometheusOptions {
  /** `host:port` of what it scrapes. */
  targets?: readonly string[];
  scrapeIntervalMs?: number;
  /** Samples from the past: OpenMetrics text with timestamps, ending in `# EOF`. */
  history?: string;
  flags?: readonly string[];
  /** Serves by TLS, and lets nobody in without a client certificate of this authority. */
  tls?: { server: PemPair; authority: string; client: PemPair };
}

export interface PrometheusPrograms {
  prometheus: string;
  promtool: string;
}

const readyMsMax = 120_000;
const portAttemptsMax = 3;

/** Where Prometheus is: PROMETHEUS_ASSETS, the PATH, or the cache of the control plane's programs. */
export function prometheusPrograms(env: Record<string, string | undefined> = process.env): Partial<PrometheusPrograms> {
  const find = (name: string): string | undefined => {
    const given = env["PROMETHEUS_ASSETS"];
    if (given) return executable(join(given, name));
    return Bun.which(name) ?? executable(join(assetsDirectory(env), name));
  };
  const prometheus = find("prometheus");
  const promtool = find("promtool");
  return { ...(prometheus === undefined ? {} : { prometheus }), ...(promtool === undefined ? {} : { promtool }) };
}

/** Why tests with a real Prometheus can't run here, in one plain line; undefined if they can. With COUCHESTOR_E2E set what is missing is thrown. */
export function prometheusMissing(): string | undefined {
  const missing = missingPrometheus();
  if (missing !== undefined && process.env["COUCHESTOR_E2E"]) throw new Error(missing);
  return missing;
}

function missingPrometheus(): string | undefined {
  if (Bun.which("setpriv") === null) return "no setpriv (util-linux), which ends programs together with the tests";
  const { prometheus, promtool } = prometheusPrograms();
  if (prometheus !== undefined && promtool !== undefined) return undefined;
  return "no prometheus and promtool in the PATH (Debian: apt-get install prometheus), nor in PROMETHEUS_ASSETS";
}

/** Starts one and waits until it is ready. Throws with the end of its output if it can't. */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<Prometheus> {
  const dir = await mkdtemp(join(tmpdir(), "couchestor-prometheus-"));
  for (let attempt = 1; ; attempt++) {
    const server = new Prometheus(dir, options);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      if (attempt === portAttemptsMax || !/address already in use/.test(String(error))) throw error;
      await mkdir(dir, { recursive: true });
    }
  }
}

export class Prometheus implements AsyncDisposable {
  readonly dir: string;
  readonly #options: PrometheusOptions;
  readonly #keeper: { release(): void };
  #port = 0;
  #program: RunningProgram | undefined;
  #backfilled = false;

  constructor(dir: string, options: PrometheusOptions) {
    this.dir = dir;
    this.#options = options;
    this.#keeper = removeWhenOrphaned(dir);
  }

  get url(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://127.0.0.1:${this.#port}`;
  }

  /** Starts it, at the same address as before if it ran before, with all that it had. */
  async start(): Promise<void> {
    const { prometheus } = prometheusPrograms();
    if (prometheus === undefined) throw new Error(prometheusMissing());
    if (this.#port === 0) [this.#port = 0] = await freePorts(1);
    await writeFile(join(this.dir, "prometheus.yml"), this.#configuration());
    await this.#writeWebConfiguration();
    if (this.#options.history !== undefined && !this.#backfilled) await this.#backfill(this.#options.history);
    const program = startProgram("prometheus", this.#command(prometheus), join(this.dir, "prometheus.log"));
    this.#program = program;
    await until("Prometheus is ready", async () => (await this.#fetch("/-/ready")).ok, {
      timeoutMs: readyMsMax,
      giveUp: () => {
        if (program.exitCode !== null) throw new Error(`prometheus ended:\n${program.logTail()}`);
      },
    });
  }

  /** Ends it at once; its data stay, and `start` begins again with them. */
  async kill(): Promise<void> {
    const program = this.#program;
    this.#program = undefined;
    await program?.stop(0);
  }

  /** It stands still: connections stay open, and nothing answers. */
  pause(): void {
    this.#program?.signal("SIGSTOP");
  }

  resume(): void {
    this.#program?.signal("SIGCONT");
  }

  /** The result of an instant query, for what a test looks at. */
  async query(promql: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]> {
    const response = await this.#fetch(`/api/v1/query?query=${encodeURIComponent(promql)}`);
    const answer = (await response.json()) as { data?: { result: never[] }; error?: string };
    if (answer.data === undefined) throw new Error(`${promql}: ${answer.error}`);
    return answer.data.result;
  }

  async stop(): Promise<void> {
    this.resume();
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
    this.#keeper.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #command(prometheus: string): string[] {
    return [
      prometheus,
      `--config.file=${join(this.dir, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(this.dir, "data")}`,
      "--storage.tsdb.retention.time=10y",
      `--web.listen-address=127.0.0.1:${this.#port}`,
      ...(this.#options.tls === undefined ? [] : [`--web.config.file=${join(this.dir, "web.yml")}`]),
      ...(this.#options.flags ?? []),
    ];
  }

  #fetch(path: string): Promise<Response> {
    const { tls } = this.#options;
    return fetch(this.url + path, tls === undefined ? {} : { tls: { ca: tls.authority, ...tls.client } });
  }

  async #writeWebConfiguration(): Promise<void> {
    const { tls } = this.#options;
    if (tls === undefined) return;
    const files = { "server.crt": tls.server.cert, "server.key": tls.server.key, "clients.crt": tls.authority };
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.dir, name), text, { mode: 0o600 });
    const at = (name: string) => join(this.dir, name);
    const server = { cert_file: at("server.crt"), key_file: at("server.key"), client_ca_file: at("clients.crt") };
    const config = { tls_server_config: { ...server, client_auth_type: "RequireAndVerifyClientCert" } };
    await writeFile(at("web.yml"), JSON.stringify(config));
  }

  #configuration(): string {
    const { targets = [], scrapeIntervalMs = 200 } = this.#options;
    const interval = `${scrapeIntervalMs}ms`;
    return JSON.stringify({
      global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: "1m" },
      scrape_configs: targets.map((target, i) => ({
        job_name: `metrics-exporter-${i + 1}`,
        static_configs: [{ targets: [target] }],
      })),
    });
  }

  async #backfill(history: string): Promise<void> {
    const { promtool } = prometheusPrograms();
    if (promtool === undefined) throw new Error(prometheusMissing());
    const input = join(this.dir, "history.om");
    await writeFile(input, history);
    const data = join(this.dir, "data");
    await mkdir(data, { recursive: true });
    const command = [promtool, "tsdb", "create-blocks-from", "openmetrics", input, data];
    const child = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    const said = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) throw new Error(`promtool: ${said.slice(-2_000)}`);
    rmSync(input);
    this.#backfilled = true;
  }
}

function executable(path: string): string | undefined {
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return undefined;
  }
}
