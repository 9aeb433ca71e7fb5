/** The cluster API, as agents use it: heartbeats, stripe maps, reports of acts. */
import { actDoneAnswerSchema, actDoneSchema } from "@couchestor/common/api/acts.ts";
import { volumeMapSchema } from "@couchestor/common/api/maps.ts";
import { heartbeatAnswerSchema } from "@couchestor/common/api/nodes.ts";
import { nameSchema, uuidSchema } from "@couchestor/common/api/primitives.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import type { Hono } from "hono";
import { z } from "zod";
import type { Brain } from "../brain.ts";
import { volumeMap } from "../volumes/maps.ts";
import { appOf, route } from "./route-table.ts";

const stripes = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const rangeSchema = z.strictObject({
  firstStripe: stripes.default(0),
  stripeCount: stripes.min(1).default(1024 * 256),
});

export function clusterApp(brain: Brain, onError: (error: unknown) => void): Hono {
  const { services } = brain;
  return appOf(
    "CoucheStor brain, cluster API",
    [
      route({
        method: "post",
        path: "/v1/nodes/{nodeName}/heartbeat",
        summary: "An agent tells what it has",
        // Checked by the inventory, so that another protocol version is told so rather than which of its fields are unknown.
        body: z.looseObject({}),
        answer: heartbeatAnswerSchema,
        run: ({ params, body }) => brain.heartbeat(parseOrThrow(nameSchema, params["nodeName"], "node name"), body),
      }),
      route({
        method: "get",
        path: "/v1/maps/{volumeUuid}",
        summary: "Where the shards of a range of stripes are",
        query: rangeSchema,
        answer: volumeMapSchema,
        run: ({ params, query }) =>
          volumeMap(services, parseOrThrow(uuidSchema, params["volumeUuid"], "volume uuid"), query),
      }),
      route({
        method: "post",
        path: "/v1/acts/done",
        summary: "A mover reports an act",
        body: actDoneSchema,
        answer: actDoneAnswerSchema,
        run: ({ body }) => services.acts.done(body),
      }),
    ],
    onError,
  );
}
