/**
 * Asks devices for their health off the event loop. One worker asks one device after the other. A device that does not answer in time keeps its
 * worker, since nothing can end a system call that hangs; the others are asked by another one, and it is not asked again until it has answered.
 */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { isCompiled } from "@couchestor/native-ffi/core/platform.ts";
import type { SmartReading } from "./reading.ts";
import { type SmartFailure, SmartReadError, type SmartReader, type SmartTarget } from "./smart-reader.ts";

/** What the worker answers. */
export type SmartReply =
  | { readonly reading: SmartReading }
  | { readonly failure: SmartFailure; readonly message: string };

/** A worker as far as this file uses it. */
export interface SmartWorkerPort {
  ask(target: SmartTarget): void;
  /** Called once for every answer, and with undefined when the worker itself broke down. */
  onReply: (reply: SmartReply | undefined) => void;
  end(): void;
}

export interface WorkerReaderOptions {
  /** How long a device may take: more than its commands get by themselves. */
  readonly answerMsMax?: number;
  /** Workers held up by devices that do not answer; beyond it nothing more is asked. */
  readonly stuckWorkersMax?: number;
  /** A worker that has nothing to do for so long is ended: it takes memory. */
  readonly idleMsMax?: number;
}

interface Job {
  readonly target: SmartTarget;
  readonly done: PromiseWithResolvers<SmartReading>;
}

export class WorkerSmartReader implements SmartReader {
  readonly #clock: Clock;
  readonly #start: () => SmartWorkerPort;
  readonly #options: Required<WorkerReaderOptions>;
  readonly #queue: Job[] = [];
  /** Devices that were given up on and have not answered since. */
  readonly #stuck = new Set<string>();
  #worker: SmartWorkerPort | undefined;
  #busy = false;
  #cancelIdle: (() => void) | undefined;
  #closed = false;

  constructor(clock: Clock, start: () => SmartWorkerPort = startWorker, options: WorkerReaderOptions = {}) {
    this.#clock = clock;
    this.#start = start;
    this.#options = { answerMsMax: 45_000, stuckWorkersMax: 4, idleMsMax: 5_000, ...options };
  }

  read(target: SmartTarget): Promise<SmartReading> {
    const { path } = target;
    if (this.#closed) return Promise.reject(new SmartReadError("failed", `${path}: the agent is stopping`));
    if (this.#stuck.has(path)) {
      return Promise.reject(
        new SmartReadError("silent", `${path}: has still not answered an earlier question about its health`),
      );
    }
    const done = Promise.withResolvers<SmartReading>();
    this.#queue.push({ target, done });
    this.#next();
    return done.promise;
  }

  /** What is waiting is refused; what a device is being asked comes to nothing. */
  close(): void {
    this.#closed = true;
    this.#cancelIdle?.();
    for (const { target, done } of this.#queue.splice(0)) {
      done.reject(new SmartReadError("failed", `${target.path}: the agent is stopping`));
    }
    if (!this.#busy) this.#end();
  }

  #next(): void {
    const job = this.#queue[0];
    if (!job || this.#busy || this.#closed) return;
    if (this.#stuck.size >= this.#options.stuckWorkersMax) {
      this.#queue.shift();
      const held = [...this.#stuck].join(", ");
      job.done.reject(
        new SmartReadError("failed", `${job.target.path}: not asked, as too many devices do not answer: ${held}`),
      );
      this.#next();
      return;
    }
    this.#queue.shift();
    this.#cancelIdle?.();
    try {
      this.#worker ??= this.#start();
    } catch (error) {
      // Without memory for a thread, say: the next question is another attempt.
      job.done.reject(
        new SmartReadError("failed", `${job.target.path}: not asked, as no thread could be started: ${error}`, {
          cause: error,
        }),
      );
      this.#next();
      return;
    }
    this.#busy = true;
    this.#ask(this.#worker, job);
  }

  #ask(worker: SmartWorkerPort, { target, done }: Job): void {
    const { path } = target;
    const seconds = this.#options.answerMsMax / 1000;
    const giveUp = this.#clock.after(this.#options.answerMsMax, () => {
      this.#stuck.add(path);
      this.#worker = undefined;
      this.#busy = false;
      done.reject(
        new SmartReadError("silent", `${path}: did not answer within ${seconds} s when asked for its health`),
      );
      this.#next();
    });
    worker.onReply = (reply) => {
      giveUp();
      if (this.#stuck.delete(path)) return worker.end();
      this.#busy = false;
      if (reply === undefined) {
        this.#worker = undefined;
        done.reject(new SmartReadError("failed", `${path}: the worker that asked it broke down`));
      } else if ("reading" in reply) done.resolve(reply.reading);
      else done.reject(new SmartReadError(reply.failure, reply.message));
      this.#rest();
      this.#next();
    };
    worker.ask(target);
  }

  #rest(): void {
    if (this.#closed) this.#end();
    else if (this.#queue.length === 0) this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    this.#cancelIdle = this.#clock.after(this.#options.idleMsMax, () => this.#end());
  }

  #end(): void {
    this.#worker?.end();
    this.#worker = undefined;
  }
}

/** In the compiled program the worker lies where the bundler put it, and nothing of that name in the current folder can take its place. */
function workerFile(): string {
  return isCompiled()
    ? "/$bunfs/root/agent/devices/smart/smart-worker.js"
    : new URL("./smart-worker.ts", import.meta.url).href;
}

/** A thread of its own that runs `smart-worker.ts`. */
function startWorker(): SmartWorkerPort {
  const worker = new Worker(workerFile());
  worker.unref();
  const port: SmartWorkerPort = {
    ask: (target) => worker.postMessage(target),
    onReply: () => undefined,
    end: () => worker.terminate(),
  };
  worker.onmessage = ({ data }: MessageEvent<SmartReply>) => port.onReply(data);
  worker.onerror = () => port.onReply(undefined);
  return port;
}
