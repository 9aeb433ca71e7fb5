/** `GET /v1/plan`, for the admin API. */
import { planAnswerSchema, planQuerySchema } from "@couchestor/common/api/plan.ts";
import { type Route, route } from "../http/route-table.ts";
import { planView } from "./plan-view.ts";
import type { Tiering } from "./reconcile.ts";

export function planRoute(tiering: Pick<Tiering, "latest">): Route {
  return route({
    method: "get",
    path: "/v1/plan",
    summary: "What tiering has decided for each volume, and why",
    query: planQuerySchema,
    answer: planAnswerSchema,
    run: ({ query }) => planView(tiering.latest, query),
  });
}
