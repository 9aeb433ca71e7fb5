/** Routes as data: each is registered with hono and described in the OpenAPI document from the same schemas, so the two can't drift apart. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { problemContentType, problemResponse, problemSchema } from "@couchestor/common/errors/http.ts";
import { version } from "@couchestor/common/runtime/version.ts";
import { type Context, Hono } from "hono";
import { z } from "zod";

export interface RouteInput<Body, Query> {
  params: Record<string, string>;
  body: Body;
  query: Query;
}

export interface Route {
  method: "get" | "post" | "delete";
  /** With `{name}` for parameters. */
  path: string;
  summary: string;
  body?: z.ZodType;
  query?: z.ZodType;
  answer: z.ZodType;
  status: number;
  run(input: RouteInput<unknown, unknown>): Promise<unknown>;
}

/** A route whose input and answer are typed by its schemas. */
export function route<
  B extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  A extends z.ZodType = z.ZodType,
>(spec: {
  method: Route["method"];
  path: string;
  summary: string;
  body?: B;
  query?: Q;
  answer: A;
  status?: number;
  run(input: RouteInput<z.output<B>, z.output<Q>>): z.input<A> | Promise<z.input<A>>;
}): Route {
  return {
    status: 200,
    ...spec,
    run: async (input) => spec.run(input as RouteInput<z.output<B>, z.output<Q>>),
  } as Route;
}

/** A hono app of the routes, with problem+json for every error and the OpenAPI document at `/v1/openapi.json`. */
export function appOf(title: string, routes: readonly Route[], onError: (error: unknown) => void): Hono {
  const app = new Hono();
  for (const r of routes) {
    app.on(r.method.toUpperCase(), r.path.replace(/\{(\w+)\}/g, ":$1"), async (c) => {
      const value = await r.run({ params: c.req.param(), body: await bodyOf(r, c), query: queryOf(r, c) });
      return c.json(value as object, r.status as 200);
    });
  }
  const document = openApi(title, routes);
  app.get("/v1/openapi.json", (c) => c.json(document));
  app.notFound((c) => problemResponse(new AppError("NotFound", `there is no ${c.req.method} ${c.req.path} here`)));
  app.onError((error) => {
    onError(error);
    return problemResponse(error);
  });
  return app;
}

async function bodyOf(r: Route, c: Context): Promise<unknown> {
  if (!r.body) return undefined;
  const text = await c.req.text();
  let value: unknown;
  try {
    value = text === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw new AppError("InvalidArgument", `request body: not JSON (${text.length} characters)`, { cause: error });
  }
  return parseOrThrow(r.body, value, "request body");
}

function queryOf(r: Route, c: Context): unknown {
  return r.query && parseOrThrow(r.query, c.req.query(), "query");
}

function openApi(title: string, routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const r of routes) {
    const item = paths[r.path] ?? {};
    paths[r.path] = item;
    item[r.method] = {
      summary: r.summary,
      parameters: [...pathParameters(r.path), ...queryParameters(r.query)],
      ...(r.body
        ? { requestBody: { required: true, content: { "application/json": { schema: jsonSchema(r.body, "input") } } } }
        : {}),
      responses: {
        [r.status]: {
          description: "done",
          content: { "application/json": { schema: jsonSchema(r.answer, "output") } },
        },
        default: {
          description: "an error",
          content: { [problemContentType]: { schema: jsonSchema(problemSchema, "output") } },
        },
      },
    };
  }
  return { openapi: "3.1.0", info: { title, version }, paths };
}

function pathParameters(path: string): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map((m) => ({
    name: m[1],
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

function queryParameters(query: z.ZodType | undefined): object[] {
  if (!query) return [];
  const schema = jsonSchema(query, "input") as { properties?: Record<string, object>; required?: string[] };
  return Object.entries(schema.properties ?? {}).map(([name, s]) => ({
    name,
    in: "query",
    required: schema.required?.includes(name) ?? false,
    schema: s,
  }));
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
