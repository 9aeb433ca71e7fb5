/**
 * One process of a standalone: started from the same program, logging to a file, started again when it dies unless it was told to.
 * Its stdin is a pipe from us that nobody writes to: when we end, however that happens, it reads the end and stops itself.
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { type Endpoint, readEndpoint } from "@couchestor/common/runtime/data-dir.ts";

export interface MemberOptions {
  /** `brain`, `node-1` … */
  name: string;
  role: "brain" | "agent";
  dataDir: string;
  /** The command line of this program, without the sub-command. */
  program: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  restart: boolean;
  onNote: (text: string) => void;
}

const pollMs = 20;
const restartPauseMsMin = 250;
const restartPauseMsMax = 10_000;
/** Running for so long clears the record of earlier deaths. */
const steadyMs = 30_000;
const logTailBytes = 4096;

export class Member {
  readonly name: string;
  readonly dataDir: string;
  readonly logPath: string;
  readonly #options: MemberOptions;
  #args: readonly string[] = [];
  #process: Bun.Subprocess<"pipe", number, number> | undefined;
  #wanted = false;
  #deaths = 0;
  #startedMs = 0;

  constructor(options: MemberOptions) {
    this.name = options.name;
    this.dataDir = options.dataDir;
    this.logPath = join(options.dataDir, `${options.role}.log`);
    this.#options = options;
  }

  /** Of the present process; 0 when none runs. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  /** Starts the process with these flags. Returns at once; see `ready`. */
  async start(args: readonly string[]): Promise<void> {
    this.#args = args;
    this.#wanted = true;
    await this.#spawn();
  }

  /** Waits for the process to say where it listens. Throws `Unavailable` with the end of its log if it dies or is late. */
  async ready(timeoutMs: number, signal?: AbortSignal): Promise<Endpoint> {
    const { clock, role } = this.#options;
    const untilMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const endpoint = await readEndpoint(this.dataDir);
      if (endpoint !== undefined && endpoint.pid === this.pid) return endpoint;
      if (!this.running && !this.#options.restart) throw await this.#failure(`${this.name} ended`);
      if (this.#deaths > 3) throw await this.#failure(`${this.name} ended ${this.#deaths} times`);
      if (clock.monotonicMs() > untilMs)
        throw await this.#failure(`${role} ${this.name} was not ready after ${timeoutMs} ms`);
      await clock.sleep(pollMs, signal);
    }
  }

  /** SIGKILL. It stays dead until `start` is called again. */
  async kill(): Promise<void> {
    this.#wanted = false;
    const child = this.#process;
    child?.kill("SIGKILL");
    await child?.exited;
  }

  /** SIGTERM, and SIGKILL when it has not ended after `graceMs`. Returns whether it ended by itself. */
  async stop(graceMs: number): Promise<boolean> {
    this.#wanted = false;
    const child = this.#process;
    if (child === undefined) return true;
    child.kill("SIGTERM");
    const late = Promise.withResolvers<"late">();
    const cancel = this.#options.clock.after(graceMs, () => late.resolve("late"));
    const outcome = await Promise.race([child.exited, late.promise]);
    cancel();
    if (outcome !== "late") return true;
    this.#options.onNote(`${this.name} did not stop within ${graceMs} ms and was killed; see ${this.logPath}`);
    child.kill("SIGKILL");
    await child.exited;
    return false;
  }

  async #spawn(): Promise<void> {
    const { program, role, env, clock } = this.#options;
    const log = await open(this.logPath, "a", 0o600);
    try {
      // Told to stop while the log was opened: nothing may be started behind that.
      if (!this.#wanted) return;
      const child = Bun.spawn([...program, role, ...this.#args], {
        stdin: "pipe",
        stdout: log.fd,
        stderr: log.fd,
        env: { ...env, COUCHESTOR_EXIT_WITH_PARENT: "1" },
        // A session of its own: Ctrl-C on the terminal reaches us alone, and we stop the members in order.
        detached: true,
      });
      this.#process = child;
      this.#startedMs = clock.monotonicMs();
      void child.exited.then((code) => this.#onExit(child, code));
    } finally {
      await closeQuietly(log);
    }
  }

  async #onExit(child: Bun.Subprocess<"pipe", number, number>, code: number): Promise<void> {
    if (this.#process !== child) return;
    this.#process = undefined;
    if (!this.#wanted) return;
    const { clock, onNote, restart } = this.#options;
    if (clock.monotonicMs() - this.#startedMs > steadyMs) this.#deaths = 0;
    this.#deaths++;
    const how = child.signalCode === null ? `exit code ${code}` : child.signalCode;
    if (!restart) return onNote(`${this.name} ended (${how}) and stays so; see ${this.logPath}`);
    const pauseMs = Math.min(restartPauseMsMax, restartPauseMsMin * 2 ** (this.#deaths - 1));
    onNote(`${this.name} ended (${how}); starting it again in ${pauseMs} ms; see ${this.logPath}`);
    await clock.sleep(pauseMs);
    if (this.#wanted && !this.running) await this.#spawn();
  }

  async #failure(what: string): Promise<AppError> {
    const tail = await logTail(this.logPath);
    return new AppError("Unavailable", `${what}. The end of its log, ${this.logPath}:\n${tail}`, {
      data: { name: this.name },
    });
  }
}

async function closeQuietly(file: FileHandle): Promise<void> {
  await file.close().catch(() => undefined);
}

async function logTail(path: string): Promise<string> {
  const file = Bun.file(path);
  if (!(await file.exists())) return "  (it wrote nothing)";
  const text = await file.slice(Math.max(0, file.size - logTailBytes)).text();
  const lines = text.trimEnd().split("\n").slice(-12);
  return lines.map((line) => `  ${line}`).join("\n");
}
