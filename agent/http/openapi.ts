/** The OpenAPI documents, from the schemas that the handlers check by. Loaded when somebody asks. */
import { actProgressSchema, actTaskSchema } from "@couchestor/common/api/acts.ts";
import { encodeResultSchema } from "@couchestor/common/api/admin.ts";
import {
  deleteAnswerSchema,
  deleteRequestSchema,
  listAnswerSchema,
  putAnswerSchema,
  verifyAnswerSchema,
  verifyRequestSchema,
} from "@couchestor/common/api/chunks.ts";
import { poolsAnswerSchema } from "@couchestor/common/api/nodes.ts";
import { problemContentType, problemSchema } from "@couchestor/common/errors/http.ts";
import { version } from "@couchestor/common/runtime/version.ts";
import { z } from "zod";
import { blocksContentType } from "../mover/chunk-wire.ts";

const octets = "application/octet-stream";

interface RouteDocument {
  route: string;
  summary: string;
  query?: Record<string, string>;
  /** A schema, or a media type of bytes. */
  body?: z.ZodType | string;
  answer?: z.ZodType | string;
  status?: number;
}

const versionSchema = z.object({
  version: z.string(),
  commit: z.string(),
  protocolVersion: z.int(),
  codec: z.string(),
  nodeName: z.string(),
  instanceUuid: z.string(),
});
const document: RouteDocument = { route: "GET /v1/openapi.json", summary: "This document", answer: z.looseObject({}) };
const versionRoute: RouteDocument = {
  route: "GET /v1/version",
  summary: "Which program this is",
  answer: versionSchema,
};
const chunks = "/v1/pools/{poolUuid}/chunks";
const chunk = `${chunks}/{volumeUuid}/{stripe}/{shardIndex}/{generation}/{encodeEpoch}/{encodeAct}`;

const clusterRoutes: readonly RouteDocument[] = [
  {
    route: `PUT ${chunks}`,
    summary: "Store a chunk: header, CRC table, data. Durable when answered",
    body: octets,
    answer: putAnswerSchema,
  },
  {
    route: `GET ${chunk}`,
    summary: "Blocks of a chunk: one u32 LE CRC32C each, then the blocks",
    query: { firstBlock: "the first block of 4 KiB, default 0", blockCount: "how many" },
    answer: blocksContentType,
  },
  {
    route: `POST ${chunks}/verify`,
    summary: "Read chunks whole from the medium and check them",
    body: verifyRequestSchema,
    answer: verifyAnswerSchema,
  },
  {
    route: `POST ${chunks}/delete`,
    summary: "Delete exactly the chunks named",
    body: deleteRequestSchema,
    answer: deleteAnswerSchema,
  },
  {
    route: `GET ${chunks}`,
    summary: "Page through what a pool holds",
    query: {
      after: "where the page before ended",
      limit: "chunks, 1 to 1024",
      verify: "true: check each chunk's data",
    },
    answer: listAnswerSchema,
  },
  { route: "GET /v1/pools", summary: "The pools of this agent", answer: poolsAnswerSchema },
  {
    route: "POST /v1/acts",
    summary: "Take on an act; again changes nothing and is answered 200",
    body: actTaskSchema,
    answer: z.object({ state: z.string() }),
    status: 202,
  },
  { route: "GET /v1/acts", summary: "Acts under way", answer: z.object({ acts: z.array(actProgressSchema) }) },
  { route: "DELETE /v1/acts/{actKey}", summary: "Stop an act; answered when nothing of it is under way", status: 204 },
  versionRoute,
  document,
];

const adminRoutes: readonly RouteDocument[] = [
  {
    route: "PUT /v1/acts/{actKey}/data",
    summary: "The bytes of an encode act; answered after the commit",
    body: octets,
    answer: encodeResultSchema,
  },
  {
    route: "GET /v1/volumes/{volumeUuid}/data",
    summary: "Bytes of a volume; takes a Range header (206, or 416)",
    answer: octets,
  },
  versionRoute,
  document,
];

/** The cluster API's document. */
export function clusterDocument(): object {
  return documentOf("CoucheStor agent, cluster API", clusterRoutes);
}

/** The admin API's document. */
export function adminDocument(): object {
  return documentOf("CoucheStor agent, admin API", adminRoutes);
}

function documentOf(title: string, routes: readonly RouteDocument[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const one of routes) {
    const [method = "", path = ""] = one.route.split(" ");
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(one, path) };
  }
  return { openapi: "3.1.0", info: { title, version }, paths };
}

function operation({ summary, query = {}, body, answer, status = 200 }: RouteDocument, path: string): object {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(query).map(([name, description]) => ({
    name,
    in: "query",
    description,
    schema: { type: "string" },
  }));
  return {
    summary,
    parameters: [...inPath, ...inQuery],
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body, "input") } }),
    responses: {
      [status]: { description: "done", ...(answer === undefined ? {} : { content: contentOf(answer, "output") }) },
      default: {
        description: "an error",
        content: { [problemContentType]: { schema: jsonSchema(problemSchema, "output") } },
      },
    },
  };
}

function contentOf(of: z.ZodType | string, io: "input" | "output"): object {
  if (typeof of === "string") return { [of]: { schema: { type: "string", format: "binary" } } };
  return { "application/json": { schema: jsonSchema(of, io) } };
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
