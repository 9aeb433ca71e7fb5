/** What all of the agent's HTTP apps share: errors as problem+json, and a measure of every route. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { problemResponse, toAppError } from "@couchestor/common/errors/http.ts";
import type { RequestContext } from "@couchestor/common/http/listener-options.ts";
import { readBounded } from "@couchestor/common/http/read-bounded.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { type Context, Hono } from "hono";
import type { z } from "zod";
import type { AgentMetrics } from "../observe/metrics.ts";
import type { Log } from "../ports.ts";

export type Env = { Bindings: RequestContext };
export type AgentHono = Hono<Env>;
export type AgentContext = Context<Env>;
export type Handler = (c: AgentContext) => Response | Promise<Response>;

export interface AppParts {
  listener: string;
  clock: Clock;
  log: Log;
  metrics?: AgentMetrics | undefined;
}

/** JSON bodies above this are refused. */
export const jsonBytesMax = 4 * 2 ** 20;
/** A JSON body must be there within this time. */
const jsonDeadlineMs = 30_000;

/** Registers routes `[method, path with :parameters, handler]`. */
export function appOf(parts: AppParts, routes: readonly (readonly [string, string, Handler])[]): AgentHono {
  const { listener, clock, metrics, log } = parts;
  const app: AgentHono = new Hono<Env>();
  for (const [method, path, handler] of routes) {
    app.on(method, path, async (c) => {
      const beganMs = clock.monotonicMs();
      const response = await answer(handler, c, log);
      const { status } = response;
      metrics?.request({ listener, method, path, status }, (clock.monotonicMs() - beganMs) / 1000);
      return response;
    });
  }
  app.notFound((c) =>
    problemResponse(new AppError("NotFound", `there is no ${c.req.method} ${c.req.path} on the ${listener} listener`)),
  );
  app.onError((error) => problemResponse(error));
  return app;
}

async function answer(handler: Handler, c: AgentContext, log: Log): Promise<Response> {
  try {
    return await handler(c);
  } catch (error) {
    const app = toAppError(error);
    const fields = { method: c.req.method, path: c.req.path, code: app.code, err: error };
    if (app.code === "Internal") log.error(fields, "a request failed");
    else log.debug(fields, "a request was refused");
    return problemResponse(app);
  }
}

/** The request's JSON body by `schema`. Throws `InvalidArgument`, `TooLarge` or `Timeout`. */
export async function jsonBody<S extends z.ZodType>(c: AgentContext, schema: S, clock: Clock): Promise<z.output<S>> {
  const what = "request body";
  const deadline = { clock, ms: jsonDeadlineMs };
  const bytes = await readBounded(c.req.raw.body, {
    bytesMax: jsonBytesMax,
    what,
    declared: c.req.raw.headers,
    deadline,
  });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new AppError("InvalidArgument", `request body: ${bytes.byteLength} bytes that are not JSON`, {
      cause: error,
    });
  }
  return parseOrThrow(schema, value, what);
}
