/** The cluster API: what the brain and other agents may call. */
import { actTaskSchema } from "@couchestor/common/api/acts.ts";
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { z } from "zod";
import type { ActRunner } from "../mover/act-runner.ts";
import { type AgentHono, type AppParts, appOf, jsonBody } from "./app.ts";
import { type ChunkRouteParts, chunkRoutes } from "./chunk-routes.ts";

export const actKeySchema = z
  .string()
  .regex(/^[0-9a-f-]{36}\.\d{1,16}\.\d{1,10}$/, "must be {volumeUuid}.{epoch}.{actNo}");

export interface VersionAnswer {
  version: string;
  commit: string;
  protocolVersion: number;
  codec: string;
  nodeName: string;
  instanceUuid: string;
}

export interface ClusterAppParts extends AppParts, ChunkRouteParts {
  metrics: ChunkRouteParts["metrics"];
  acts: Pick<ActRunner, "accept" | "stop" | "progress">;
  poolInfos(): PoolInfo[];
  version: VersionAnswer;
}

export function clusterApp(parts: ClusterAppParts): AgentHono {
  const { acts, clock, poolInfos, version } = parts;
  return appOf(parts, [
    ...chunkRoutes(parts),
    ["GET", "/v1/pools", (c) => c.json({ pools: poolInfos() })],
    ["GET", "/v1/version", (c) => c.json(version)],
    [
      "POST",
      "/v1/acts",
      async (c) => {
        const state = acts.accept(await jsonBody(c, actTaskSchema, clock));
        return c.json({ state }, state === "accepted" ? 202 : 200);
      },
    ],
    ["GET", "/v1/acts", (c) => c.json({ acts: acts.progress() })],
    [
      "DELETE",
      "/v1/acts/:actKey",
      async (c) => {
        c.env.withoutIdleTimeout();
        const key = parseOrThrow(actKeySchema, c.req.param("actKey"), "actKey");
        if (await acts.stop(key)) return c.body(null, 204);
        throw new AppError("NotFound", `act ${key}: none of this name is known here`);
      },
    ],
    ["GET", "/v1/openapi.json", async (c) => c.json((await import("./openapi.ts")).clusterDocument())],
  ]);
}
