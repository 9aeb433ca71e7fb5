/**
 * Whether the brain may be used: every cache complete and listening, the API server and Prometheus reachable. Probes come often and from
 * several sides; the two are asked once for all who ask meanwhile, and their answer is kept for a few seconds.
 */
import { SingleFlight } from "@couchestor/common/resilience/single-flight.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { Hono } from "hono";
import type { CacheState } from "./caches.ts";

export interface ReadinessDeps {
  clock: Clock;
  caches: () => CacheState[];
  pingApiServer: (signal: AbortSignal) => Promise<void>;
  pingPrometheus: (signal: AbortSignal) => Promise<void>;
  /** Of what only a leader has; for people, not for the verdict. */
  leader: () => string;
  /** What else keeps it from being used. */
  troubles: () => string[];
}

export interface ReadinessReport {
  ready: boolean;
  checks: Record<string, string>;
}

const keptMs = 3_000;
const pingMsMax = 3_000;
/** A cache that has heard nothing for so long may be far behind. */
const staleMsMax = 30_000;

export class Readiness {
  readonly #deps: ReadinessDeps;
  readonly #flights = new SingleFlight<"", ReadinessReport>();
  #kept: { report: ReadinessReport; atMs: number } | undefined;
  #stopping = false;

  constructor(deps: ReadinessDeps) {
    this.#deps = deps;
  }

  /** From now on it is not ready. */
  stop(): void {
    this.#stopping = true;
    this.#kept = undefined;
  }

  /** How things stand, at most a few seconds ago. */
  async report(): Promise<ReadinessReport> {
    const { clock } = this.#deps;
    if (this.#kept !== undefined && clock.monotonicMs() - this.#kept.atMs < keptMs) return this.#kept.report;
    return await this.#flights.run("", async () => {
      const report = await this.#look();
      this.#kept = { report, atMs: clock.monotonicMs() };
      return report;
    });
  }

  async #look(): Promise<ReadinessReport> {
    const { caches, pingApiServer, pingPrometheus, leader, troubles } = this.#deps;
    const [apiServer, prometheus] = await Promise.all([this.#ping(pingApiServer), this.#ping(pingPrometheus)]);
    const behind = caches().filter(({ synced, staleMs }) => !synced || (staleMs ?? 0) > staleMsMax);
    const notSynced = behind.map(({ kind, synced }) => `${kind} ${synced ? "not heard of for long" : "not read yet"}`);
    const others = [...troubles(), ...(this.#stopping ? ["stopping"] : [])];
    const checks = {
      caches: notSynced.length === 0 ? "ok" : notSynced.join(", "),
      apiServer,
      prometheus,
      brain: others.length === 0 ? "ok" : others.join(", "),
    };
    return { ready: Object.values(checks).every((check) => check === "ok"), checks: { ...checks, leader: leader() } };
  }

  async #ping(ping: (signal: AbortSignal) => Promise<void>): Promise<string> {
    const late = new AbortController();
    const why = new Error(`no answer within ${pingMsMax} ms`);
    const tooLate = Promise.withResolvers<never>();
    const cancel = this.#deps.clock.after(pingMsMax, () => {
      late.abort(why);
      tooLate.reject(why);
    });
    try {
      await Promise.race([ping(late.signal), tooLate.promise]);
      return "ok";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      cancel();
    }
  }
}

/** The probes: `/livez` (the process answers), `/readyz` and `/healthz` (it may be used). */
export function readinessApp(readiness: Pick<Readiness, "report">): Hono {
  const app = new Hono();
  app.get("/livez", (c) => c.json({ status: "ok" }));
  for (const path of ["/readyz", "/healthz"]) {
    app.get(path, async (c) => {
      const { ready, checks } = await readiness.report();
      return c.json({ status: ready ? "ok" : "not ready", checks }, ready ? 200 : 503);
    });
  }
  return app;
}
