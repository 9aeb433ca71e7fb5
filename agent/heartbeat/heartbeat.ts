/** Tells the brain every now and then what this agent has, and learns its cluster and pace from the answer. Goes on through any failure. */
import type { Heartbeat } from "@couchestor/common/api/nodes.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { BrainPort, Log } from "../ports.ts";

export interface HeartbeatParts {
  brain: Pick<BrainPort, "heartbeat">;
  nodeName: string;
  clock: Clock;
  log: Log;
  /** What to send now. */
  state(): Heartbeat;
  /** The brain's cluster, when it has one. */
  onCluster(clusterUuid: string): Promise<void>;
}

/** The pace until the brain has said its own, and after a failure. */
export const heartbeatEveryMsDefault = 1_000;
const everyMsMin = 20;
const everyMsMax = 60_000;
/** The pace while pools wait to be told their cluster: they take no chunks before the brain has heard that they know it. */
const joiningEveryMs = 100;

export class HeartbeatLoop {
  readonly #parts: HeartbeatParts;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #lastAnswerMs: number | undefined;
  #failing: string | undefined;
  #everyMs = heartbeatEveryMsDefault;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Milliseconds since the brain last answered; undefined if it never did. */
  get answeredMsAgo(): number | undefined {
    return this.#lastAnswerMs === undefined ? undefined : this.#parts.clock.monotonicMs() - this.#lastAnswerMs;
  }

  /** Why the brain does not answer as it should; undefined while it does. */
  get failing(): string | undefined {
    return this.#failing;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts;
    while (!this.#stop.signal.aborted) {
      const beganMs = clock.monotonicMs();
      await this.#beat();
      const pauseMs = Math.max(everyMsMin, this.#everyMs - (clock.monotonicMs() - beganMs));
      await clock.sleep(pauseMs, this.#stop.signal).catch(() => undefined);
    }
  }

  async #beat(): Promise<void> {
    const { brain, nodeName, state, onCluster, clock, log } = this.#parts;
    try {
      const sent = state();
      const answer = await brain.heartbeat(nodeName, sent);
      this.#lastAnswerMs = clock.monotonicMs();
      const everyMs = Math.min(everyMsMax, Math.max(everyMsMin, answer.heartbeatEveryMs));
      this.#everyMs = sent.pools.some((pool) => pool.clusterUuid === zeroUuid && pool.state !== "Failed")
        ? Math.min(everyMs, joiningEveryMs)
        : everyMs;
      if (this.#failing !== undefined) log.info({}, "the brain answers again");
      this.#failing = undefined;
      if (answer.clusterUuid !== undefined) await onCluster(answer.clusterUuid);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const { code, message } = toAppError(error);
      this.#everyMs = Math.min(this.#everyMs, heartbeatEveryMsDefault);
      // Once, not at every beat.
      if (this.#failing !== message) this.#logFailure(code, message, log);
      this.#failing = message;
    }
  }

  #logFailure(code: string, message: string, log: Log): void {
    if (code === "IncompatibleVersion") {
      log.error({ reason: message }, "the brain refuses this agent's version: run the same release on both");
    } else log.warn({ code, reason: message }, "the brain does not take heartbeats; trying on");
  }
}
