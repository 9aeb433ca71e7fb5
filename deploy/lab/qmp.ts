/**
 * A client of QEMU's machine protocol: JSON lines over a unix socket; answers come in the order of the commands, events in between.
 */
import { connect, type Socket } from "node:net";
import type { Clock } from "@couchestor/common/runtime/clock.ts";

export interface Qmp {
  /** Runs one command and gives its answer; throws QEMU's own words when it refuses. */
  execute(command: string, parameters?: Record<string, unknown>): Promise<unknown>;
  /**
   * Resolves at the next event of that name for which `matches` holds; rejects after `timeoutMs`. An event may come before the answer
   * to the command that causes it: ask for it before the command is sent.
   */
  event(name: string, matches: (data: Record<string, unknown>) => boolean, timeoutMs: number): Promise<void>;
  close(): void;
}

interface Message {
  return?: unknown;
  error?: { desc: string };
  event?: string;
  data?: Record<string, unknown>;
}

type Listener = (message: Message) => boolean;

/** Connects to the socket, which QEMU makes a moment after its start. Rejects after `timeoutMs`. */
export async function connectQmp(path: string, clock: Clock, timeoutMs: number): Promise<Qmp> {
  const until = clock.monotonicMs() + timeoutMs;
  let socket: Socket | undefined;
  while (socket === undefined) {
    socket = await open(path).catch(() => undefined);
    if (socket !== undefined) break;
    if (clock.monotonicMs() > until) throw new Error(`QEMU made no socket within ${timeoutMs} ms`);
    await clock.sleep(20);
  }
  const client = new QmpClient(socket, clock);
  await client.execute("qmp_capabilities");
  return client;
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once("error", reject);
  });
}

class QmpClient implements Qmp {
  readonly #socket: Socket;
  readonly #clock: Clock;
  #rest = "";
  #answers: ((message: Message) => void)[] = [];
  #listeners: Listener[] = [];

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.on("data", (bytes) => this.#receive(bytes.toString()));
    socket.on("error", () => this.#end());
    socket.on("close", () => this.#end());
  }

  execute(command: string, parameters: Record<string, unknown> = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#answers.push((message) => {
        if (message.error !== undefined) reject(new Error(`${command}: ${message.error.desc}`));
        else resolve(message.return);
      });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`);
    });
  }

  event(name: string, matches: (data: Record<string, unknown>) => boolean, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(timeoutMs, () => reject(new Error(`no ${name} within ${timeoutMs} ms`)));
      const listener: Listener = (message) => {
        if (message.event !== name || !matches(message.data ?? {})) return false;
        cancel();
        resolve();
        return true;
      };
      this.#listeners.push(listener);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.trim() === "") continue;
      const message = JSON.parse(line) as Message;
      if (message.event !== undefined) {
        this.#listeners = this.#listeners.filter((listener) => !listener(message));
      } else if ("return" in message || message.error !== undefined) this.#answers.shift()?.(message);
    }
  }

  #end(): void {
    for (const answer of this.#answers.splice(0)) answer({ error: { desc: "the machine has ended" } });
  }
}
