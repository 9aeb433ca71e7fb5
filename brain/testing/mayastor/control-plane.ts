/**
 * Mayastor's control plane in this process. Bring it to the time it is with `catchUp`; `request` on a clock of yours is a transport of the
 * real client. Every JSON answer can be held to the published description by `onAnswer`.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { MayastorAnswer, MayastorRequest, MayastorTransport } from "../../mayastor/transport.ts";
import type { CallFault, LostAnswer } from "./call-faults.ts";
import { type ClusterOptions, MayastorCluster } from "./cluster.ts";
import { startReconcilers } from "./reconcilers.ts";
import { callRest } from "./rest.ts";
import { type Answer, problem } from "./rest-answer.ts";
import type { Slowness } from "./set-replica.ts";
import type { Actor } from "./truth.ts";

/** A call as faults are chosen by it. */
export interface SeenCall {
  /** Of all calls, and of those that change something. */
  number: number;
  writeNumber: number;
  isRead: boolean;
  method: string;
  path: string;
  body: unknown;
  by: Actor;
}

/** What reached the caller. */
export type Reached = Answer | { lost: "reset" | "silent" };

const proxyPage = "<html><head><title>502 Bad Gateway</title></head></html>";
const clientTimeoutMs = 60_000;

export class MayastorControlPlane {
  readonly cluster: MayastorCluster;
  readonly #clock: Clock;
  readonly #offsetMs: number;
  /** Chooses what goes wrong with a call. */
  fault: (call: SeenCall) => CallFault | undefined = () => undefined;
  /** Told of each call as it arrives at the server, so not of one that is lost before. */
  onCall: ((call: SeenCall) => void) | undefined;
  /** Told of each answer of Mayastor's own, for checks. Path without `/v0` and query. */
  onAnswer: ((method: string, path: string, status: number, body: unknown) => void) | undefined;
  #calls = 0;
  #writes = 0;
  /** Faults that took effect. */
  faults = 0;

  constructor(clock: Clock, options: Omit<ClusterOptions, "nowMs">) {
    this.#clock = clock;
    this.#offsetMs = clock.wallMs() - clock.monotonicMs();
    this.cluster = new MayastorCluster({ ...options, nowMs: clock.wallMs() });
    startReconcilers(this.cluster);
  }

  get calls(): number {
    return this.#calls;
  }

  get writes(): number {
    return this.#writes;
  }

  /** Lets happen what has happened by now. */
  catchUp(): void {
    this.cluster.timeline.advance(this.#clock.monotonicMs() + this.#offsetMs);
  }

  /** A transport of the real client. */
  transport(by: Actor = "us"): MayastorTransport {
    return { request: (request) => this.request(request, by) };
  }

  /** Sends a request and waits for what comes of it, in the clock's time. */
  async request(request: MayastorRequest, by: Actor): Promise<MayastorAnswer> {
    const reached = await this.exchange(request, by);
    if ("lost" in reached) {
      throw reached.lost === "reset"
        ? new AppError("Unavailable", "Mayastor: the connection was reset")
        : new AppError("Timeout", `Mayastor: no answer within ${clientTimeoutMs} ms`);
    }
    const { status, body, html } = reached;
    return { status, body: html ?? body };
  }

  /** As `request`, with a lost connection as a value. */
  async exchange(request: MayastorRequest, by: Actor): Promise<Reached> {
    this.catchUp();
    const isRead = request.method === "GET";
    const call: SeenCall = {
      number: ++this.#calls,
      writeNumber: isRead ? 0 : ++this.#writes,
      isRead,
      method: request.method,
      path: request.path,
      body: request.body,
      by,
    };
    const fault = this.fault(call);
    if (fault !== undefined) this.faults += 1;
    const { promise, resolve } = Promise.withResolvers<Reached>();
    let answered = false;
    this.#deliver(call, request, fault, (reached) => {
      answered = true;
      resolve(reached);
    });
    while (!answered) {
      if (request.signal?.aborted) throw new AppError("Cancelled", "the request was given up");
      const waitMs = this.cluster.timeline.nextMs - this.cluster.nowMs;
      await this.#clock.sleep(Math.max(0, waitMs), request.signal);
      this.catchUp();
    }
    return await promise;
  }

  #deliver(
    call: SeenCall,
    request: MayastorRequest,
    fault: CallFault | undefined,
    reply: (reached: Reached) => void,
  ): void {
    const { timeline, settings } = this.cluster;
    const path = request.path.replace(/^\/v0/, "").replace(/\?.*$/, "");
    const answer = (found: Answer) => {
      if (found.html === undefined && path !== "/api/spec")
        this.onAnswer?.(request.method, path, found.status, found.body);
      reply(found);
    };
    if (fault?.kind === "before") {
      timeline.after(1, () => (fault.how === "html" ? reply(page(502)) : lose(timeline, fault.how, reply)));
      return;
    }
    if (fault?.kind === "delayed") {
      timeline.after(fault.ms, () => this.#deliver(call, request, undefined, reply));
      return;
    }
    this.onCall?.(call);
    if (fault?.kind === "error") {
      timeline.after(5, () => answer(problem(fault.status, fault.word, fault.details ?? fault.word)));
      return;
    }
    let done = false;
    const first = (found: Answer) => {
      if (done) return;
      done = true;
      if (fault?.kind === "after") lostAnswer(timeline, fault.how, answer, reply);
      else answer(found);
    };
    if (!call.isRead) timeline.after(settings.requestCutMs, () => first(problem(503, "Aborted", "Timeout expired")));
    const slow = fault === undefined ? undefined : this.#slowness(request, fault);
    callRest(this.cluster, { request, by: call.by, slow, reply: first });
  }

  #slowness(request: MayastorRequest, fault: CallFault): Slowness | undefined {
    if (fault.kind !== "late" && fault.kind !== "cut") return undefined;
    const { prng, settings, volumes } = this.cluster;
    const asked = /\/volumes\/([^/]+)\/replica_count\/(\d+)/.exec(request.path);
    const isIncrease = asked !== null && Number(asked[2]) > (volumes.get(asked[1] ?? "")?.numReplicas ?? 0);
    const lateMs = fault.kind === "late" ? fault.ms : 500 + prng.below(3_100);
    const ms = settings.requestCutMs + lateMs;
    if (isIncrease) return { step: fault.kind === "late" ? "create" : "attach", ms };
    return { step: prng.below(2) === 0 ? "detach" : "destroy", ms };
  }
}

type After = { after(ms: number, run: () => void): void };

function lose(timeline: After, how: "reset" | "silent", reply: (reached: Reached) => void): void {
  if (how === "reset") reply({ lost: "reset" });
  else timeline.after(clientTimeoutMs, () => reply({ lost: "silent" }));
}

function lostAnswer(
  timeline: After,
  how: LostAnswer,
  answer: (found: Answer) => void,
  reply: (reached: Reached) => void,
): void {
  if (how === "reset" || how === "silent") lose(timeline, how, reply);
  else if (how === "html") reply(page(504));
  else if (how === "timeout504") answer(problem(504, "DeadlineExceeded", "deadline exceeded"));
  else if (how === "timeout408") answer(problem(408, "Timeout", "timed out"));
  else answer(problem(503, "Aborted", "Timeout expired"));
}

function page(status: number): Answer {
  return { status, html: proxyPage };
}
