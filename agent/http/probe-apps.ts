/** The two plain listeners: metrics, and probes. They serve nothing else. */
import type { Registry } from "prom-client";
import { type AgentHono, type AppParts, appOf } from "./app.ts";

export function metricsApp(parts: AppParts, registry: Registry): AgentHono {
  return appOf(parts, [
    [
      "GET",
      "/metrics",
      async () => new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } }),
    ],
  ]);
}

export interface HealthSources {
  /** Why this agent can't serve; empty if it can. */
  notReady(): string[];
  /** What is wrong, though it serves. */
  warnings(): string[];
}

/** `/livez`: the process answers. `/readyz`: it can serve chunks. `/healthz`: the same with what else is wrong. */
export function healthApp(parts: AppParts, sources: HealthSources): AgentHono {
  const report = (withWarnings: boolean) => {
    const notReady = sources.notReady();
    const warnings = withWarnings ? { warnings: sources.warnings() } : {};
    return Response.json(
      { status: notReady.length === 0 ? "ok" : "not ready", notReady, ...warnings },
      { status: notReady.length === 0 ? 200 : 503 },
    );
  };
  return appOf(parts, [
    ["GET", "/livez", () => Response.json({ status: "ok" })],
    ["GET", "/readyz", () => report(false)],
    ["GET", "/healthz", () => report(true)],
  ]);
}
