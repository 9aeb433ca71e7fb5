/** Programs that run beside a test and never outlive it. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { systemClock } from "@couchestor/common/runtime/clock.ts";

export interface RunningProgram {
  readonly name: string;
  readonly pid: number;
  /** Undefined while it runs. */
  readonly exitCode: number | null;
  readonly exited: Promise<number>;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL after `graceMs`. */
  stop(graceMs?: number): Promise<void>;
  /** The end of its output, for messages. */
  logTail(): string;
}

// The kernel ends the program when this process dies, however it dies. (bun test ends without "exit" events.)
const dieWithParent = ["setpriv", "--pdeathsig", "KILL", "--"];

/** Starts a program; what it prints goes to `logFile`. */
export function startProgram(name: string, command: readonly string[], logFile: string): RunningProgram {
  const log = openSync(logFile, "a");
  const child = Bun.spawn([...dieWithParent, ...command], { stdin: "ignore", stdout: log, stderr: log });
  closeSync(log);
  return {
    name,
    pid: child.pid,
    get exitCode() {
      return child.exitCode ?? (child.signalCode === null ? null : 128);
    },
    exited: child.exited,
    signal: (signal) => child.kill(signal),
    async stop(graceMs = 5_000) {
      child.kill("SIGTERM");
      const kill = systemClock.after(graceMs, () => child.kill("SIGKILL"));
      await child.exited;
      kill();
    },
    logTail: () => readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-12).join("\n"),
  };
}

/** Removes a folder a moment after this process has died without doing so itself. */
export function removeWhenOrphaned(folder: string): { release(): void } {
  const script = 'cat >/dev/null; for _ in 1 2 3; do sleep 0.5; rm -rf -- "$0" && break; done';
  // Its input ends when nobody holds the other end any more.
  const keeper = Bun.spawn(["sh", "-c", script, folder], { stdin: "pipe", stdout: "ignore", stderr: "ignore" });
  keeper.unref();
  return { release: () => keeper.kill("SIGKILL") };
}

/** Ports of the loopback interface that are free now, all different. Whoever takes one may find it taken, and asks again. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer().once("error", reject);
          server.listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export interface UntilOptions {
  timeoutMs?: number;
  everyMs?: number;
  /** Checked each time: throws if waiting has become pointless. */
  giveUp?: () => void;
}

/** Waits until `check` returns something other than undefined or false; what it throws counts as not yet. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  options: UntilOptions = {},
): Promise<T> {
  const { timeoutMs = 60_000, everyMs = 20, giveUp } = options;
  const endMs = systemClock.monotonicMs() + timeoutMs;
  let last: unknown;
  for (;;) {
    giveUp?.();
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (systemClock.monotonicMs() > endMs) {
      throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last });
    }
    await systemClock.sleep(everyMs);
  }
}
