/** Probes: `/livez` (the process answers), `/readyz` (it may be used), `/healthz` (both). Plain texts for people, status codes for machines. */
import { Hono } from "hono";
import type { Brain } from "../brain.ts";

export function healthApp(brain: Pick<Brain, "readiness">): Hono {
  const app = new Hono();
  app.get("/livez", (c) => c.json({ status: "ok" }));
  const readiness = () => {
    const { ready, checks } = brain.readiness();
    return { body: { status: ready ? "ok" : "not ready", checks }, status: ready ? (200 as const) : (503 as const) };
  };
  for (const path of ["/readyz", "/healthz"]) {
    app.get(path, (c) => {
      const { body, status } = readiness();
      return c.json(body, status);
    });
  }
  return app;
}
