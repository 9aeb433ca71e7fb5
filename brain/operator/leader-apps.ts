/** The APIs that only a leader can answer. The others say so, in a way that makes clients ask again: a service has another brain behind it. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { problemResponse } from "@couchestor/common/errors/http.ts";
import { Registry } from "prom-client";
import { adminApp } from "../http/admin-app.ts";
import { clusterApp } from "../http/cluster-app.ts";
import type { App } from "../http/listeners.ts";
import { appOf } from "../http/route-table.ts";
import { brainMetrics } from "../observe/metrics.ts";
import { planRoute } from "../tiering/plan-route.ts";
import type { OperatorMetrics } from "./metrics.ts";
import type { LeaderTerm } from "./term.ts";

export interface TermApps {
  cluster: App;
  admin: App;
  /** Metrics of the embedded brain. */
  registry: Registry;
}

/** The apps of one term. */
export function termApps(term: LeaderTerm, onError: (error: unknown) => void): TermApps {
  const admin = adminApp(term.brain, onError);
  const tiering = appOf("CoucheStor brain, tiering", [planRoute(term.tiering), ...term.migrationRoutes()], onError);
  // Both have their own word for what isn't there; tiering has only these paths.
  const isTiering = (path: string): boolean => /^\/v1\/(plan|migrations)(\/|$)/.test(path);
  const both: App = {
    fetch: (request) => (isTiering(new URL(request.url).pathname) ? tiering.fetch(request) : admin.fetch(request)),
  };
  const registry = brainMetrics(term.brain, new Registry());
  // Counted from the caches, by the states that ECStripes carry.
  registry.removeSingleMetric("storage_operator_ec_stripes_total");
  return { cluster: clusterApp(term.brain, onError), admin: both, registry };
}

/** An app that hands requests to the present term's, and answers 503 while there is none. `leader`: who leads, empty if nobody is known to. */
export function leaderApp(current: () => App | undefined, leader: () => string): App {
  return {
    fetch: (request) => {
      const app = current();
      if (app !== undefined) return app.fetch(request);
      const who = leader();
      const text =
        who === ""
          ? "this brain does not lead, and as far as it knows no brain does yet: ask again in a few seconds"
          : `this brain does not lead; ${who} does: ask again, or ask that one`;
      const refusal = problemResponse(
        new AppError("Unavailable", text, { data: { reason: "NotLeader", leader: who } }),
      );
      // Whoever asks again must connect anew: a kept connection would lead here for ever.
      refusal.headers.set("connection", "close");
      return refusal;
    },
  };
}

/** The metrics of the process, and of the embedded brain while it leads. */
export function metricsOf(metrics: OperatorMetrics, current: () => Registry | undefined): App {
  return {
    fetch: async (request) => {
      if (new URL(request.url).pathname !== "/metrics") {
        return problemResponse(new AppError("NotFound", "there is only /metrics here"));
      }
      const texts = [await metrics.registry.metrics(), await current()?.metrics()];
      const body = texts.flatMap((text) => (text === undefined ? [] : [text.trimEnd()])).join("\n");
      return new Response(`${body}\n`, { headers: { "content-type": metrics.registry.contentType } });
    },
  };
}
