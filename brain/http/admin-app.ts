/** The admin API, as the command line uses it: `common/api/admin.ts`. */
import {
  completeImportSchema,
  createVolumeSchema,
  encodeGrantRequestSchema,
  encodeGrantSchema,
  nodesAnswerSchema,
  readerSchema,
  recoverReportSchema,
  recoverRequestSchema,
  repairStatusSchema,
  scrubReportSchema,
  scrubRequestSchema,
  stripesAnswerSchema,
  volumesAnswerSchema,
  volumeViewSchema,
} from "@couchestor/common/api/admin.ts";
import { nameSchema, protocolVersion } from "@couchestor/common/api/primitives.ts";
import { ecStripeSpecSchema, ecStripeStatusSchema } from "@couchestor/common/crd/ec-stripe.ts";
import { ecVolumeSpecSchema, ecVolumeStatusSchema } from "@couchestor/common/crd/ec-volume.ts";
import { metadataSchema } from "@couchestor/common/crd/object.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { commit, version } from "@couchestor/common/runtime/version.ts";
import type { Hono } from "hono";
import { z } from "zod";
import type { Brain } from "../brain.ts";
import { completeImport } from "../volumes/complete.ts";
import { createVolume } from "../volumes/create.ts";
import { grantEncode } from "../volumes/encode.ts";
import { readerOf } from "../volumes/maps.ts";
import { nodeViews, stripeViews, volumeView } from "../volumes/views.ts";
import { appOf, type Route, route } from "./route-table.ts";

const versionSchema = z.strictObject({ version: z.string(), commit: z.string(), protocolVersion: z.int() });
const resource = <S extends z.ZodType, T extends z.ZodType>(spec: S, status: T) =>
  z.strictObject({
    apiVersion: z.string(),
    kind: z.string(),
    metadata: metadataSchema,
    spec,
    status: status.optional(),
  });
const pausedSchema = z.strictObject({ paused: z.boolean() });

export function adminApp(brain: Brain, onError: (error: unknown) => void): Hono {
  return appOf(
    "CoucheStor brain, admin API",
    [...volumeRoutes(brain), ...observeRoutes(brain), ...careRoutes(brain)],
    onError,
  );
}

function volumeRoutes({ services, deleter }: Brain): Route[] {
  const { catalogue } = services;
  return [
    route({
      method: "post",
      path: "/v1/volumes",
      summary: "Create a volume",
      body: createVolumeSchema,
      answer: resource(ecVolumeSpecSchema, ecVolumeStatusSchema),
      status: 201,
      run: async ({ body }) => createVolume(services, body),
    }),
    route({
      method: "get",
      path: "/v1/volumes",
      summary: "List volumes",
      answer: volumesAnswerSchema,
      run: () => ({ volumes: catalogue.volumes().map((volume) => volumeView(services, volume)) }),
    }),
    route({
      method: "get",
      path: "/v1/volumes/{name}",
      summary: "One volume",
      answer: volumeViewSchema,
      run: ({ params }) => volumeView(services, catalogue.volume(nameIn(params))),
    }),
    route({
      method: "delete",
      path: "/v1/volumes/{name}",
      summary: "Delete a volume; its chunks are deleted by name, those of pools that are away when they return",
      answer: volumeViewSchema,
      status: 202,
      run: async ({ params }) => volumeView(services, await deleter.request(nameIn(params))),
    }),
    route({
      method: "post",
      path: "/v1/volumes/{name}/encode",
      summary: "Where to send the bytes of one run",
      body: encodeGrantRequestSchema,
      answer: encodeGrantSchema,
      run: ({ params, body }) => grantEncode(services, nameIn(params), body),
    }),
    route({
      method: "post",
      path: "/v1/volumes/{name}/complete",
      summary: "End an import: every run is committed",
      body: completeImportSchema,
      answer: volumeViewSchema,
      run: async ({ params, body }) =>
        volumeView(services, await completeImport(services, nameIn(params), body.contentSha256)),
    }),
    route({
      method: "get",
      path: "/v1/volumes/{name}/reader",
      summary: "An agent to read the volume from",
      answer: readerSchema,
      run: ({ params }) => readerOf(services, nameIn(params)),
    }),
  ];
}

function observeRoutes({ services }: Brain): Route[] {
  return [
    route({
      method: "get",
      path: "/v1/version",
      summary: "Which program this is",
      answer: versionSchema,
      run: () => ({ version, commit, protocolVersion }),
    }),
    route({
      method: "get",
      path: "/v1/nodes",
      summary: "Nodes and their pools",
      answer: nodesAnswerSchema,
      run: () => ({ nodes: nodeViews(services.inventory) }),
    }),
    route({
      method: "get",
      path: "/v1/stripes",
      summary: "The runs of a volume",
      query: z.strictObject({ volume: nameSchema }),
      answer: stripesAnswerSchema,
      run: ({ query }) => ({ stripes: stripeViews(services, query.volume) }),
    }),
    route({
      method: "get",
      path: "/v1/stripes/{name}",
      summary: "One ECStripe object",
      answer: resource(ecStripeSpecSchema, ecStripeStatusSchema),
      run: async ({ params }) => {
        const run = await services.catalogue.freshRun(nameIn(params));
        if (!run) throw new AppError("NotFound", `stripe run ${params["name"]}: there is none of this name`);
        return run;
      },
    }),
  ];
}

function careRoutes({ scrubs, repair, evacuation, recovery }: Brain): Route[] {
  const pause = (paused: boolean) =>
    route({
      method: "post",
      path: paused ? "/v1/repair/pause" : "/v1/repair/resume",
      summary: paused ? "Start no new repairs" : "Go on with repairs",
      answer: pausedSchema,
      run: async () => {
        await (paused ? repair.pause() : repair.resume());
        return { paused };
      },
    });
  return [
    route({
      method: "post",
      path: "/v1/scrubs",
      summary: "Check chunks where they are, and put bad ones again",
      body: scrubRequestSchema,
      answer: scrubReportSchema,
      status: 202,
      run: ({ body }) => scrubs.start(body),
    }),
    route({
      method: "get",
      path: "/v1/scrubs/{id}",
      summary: "Progress or result of a scrub",
      answer: scrubReportSchema,
      run: ({ params }) => scrubs.report(params["id"] ?? ""),
    }),
    route({
      method: "get",
      path: "/v1/repair",
      summary: "State of repair",
      answer: repairStatusSchema,
      run: () => ({ ...repair.status(), evacuation: evacuation.status() }),
    }),
    pause(true),
    pause(false),
    route({
      method: "post",
      path: "/v1/recover",
      summary: "Rebuild volumes and stripe maps from the disks alone",
      body: recoverRequestSchema,
      answer: recoverReportSchema,
      status: 202,
      run: ({ body }) => recovery.start(body),
    }),
    route({
      method: "get",
      path: "/v1/recover",
      summary: "Progress or result of the recovery",
      answer: recoverReportSchema,
      run: () => recovery.report(),
    }),
  ];
}

function nameIn(params: Record<string, string>): string {
  const parsed = nameSchema.safeParse(params["name"]);
  if (parsed.success) return parsed.data;
  throw new AppError(
    "InvalidArgument",
    `name: got "${params["name"]}", ${parsed.error.issues[0]?.message ?? "not a name"}`,
  );
}
