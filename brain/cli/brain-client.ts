/** The brain's admin API as functions. Questions are repeated a few times when the brain is briefly away; orders are not. */
import {
  type CreateVolume,
  type EncodeGrant,
  encodeGrantSchema,
  type NodeView,
  nodesAnswerSchema,
  type RecoverReport,
  type RepairStatus,
  readerSchema,
  recoverReportSchema,
  repairStatusSchema,
  type ScrubReport,
  type StripeView,
  scrubReportSchema,
  stripesAnswerSchema,
  type VolumeView,
  volumesAnswerSchema,
  volumeViewSchema,
} from "@couchestor/common/api/admin.ts";
import { createClient } from "@couchestor/common/http/client.ts";
import { policies } from "@couchestor/common/resilience/policies.ts";
import type { TlsMaterial } from "@couchestor/common/tls/material.ts";
import { z } from "zod";

export type Reader = z.infer<typeof readerSchema>;

/** A brain that restarts is back within seconds: questions wait for it. */
const questions = { ...policies.query, timeoutMs: 15_000, attemptsMax: 5, pauseMs: 100, failuresToOpen: 1000 };
const orders = { ...policies.order, timeoutMs: 30_000, failuresToOpen: 1000 };

/** Makes the client. `signal` ends every call. */
export function createBrainClient(brainUrl: string, tls: TlsMaterial | undefined, signal: AbortSignal) {
  const baseUrl = brainUrl.replace(/\/+$/, "");
  const asks = createClient({ peer: "brain", baseUrl, tls, policy: questions });
  const tells = createClient({ peer: "brain", baseUrl, tls, policy: orders });
  const get = <S extends z.ZodType>(path: string, schema: S, query: Record<string, string | undefined> = {}) =>
    asks.json("GET", path, schema, { query, signal });
  const send = <S extends z.ZodType>(method: "POST" | "DELETE", path: string, body: unknown, schema: S) =>
    tells.json(method, path, schema, { body, signal });
  const volume = (name: string): string => `/v1/volumes/${encodeURIComponent(name)}`;
  return {
    url: baseUrl,
    /** For the agents that the brain names, which the same certificate opens. */
    tls,
    nodes: async (): Promise<NodeView[]> => (await get("/v1/nodes", nodesAnswerSchema)).nodes,
    volumes: async (): Promise<VolumeView[]> => (await get("/v1/volumes", volumesAnswerSchema)).volumes,
    volume: (name: string): Promise<VolumeView> => get(volume(name), volumeViewSchema),
    createVolume: (spec: CreateVolume) => send("POST", "/v1/volumes", spec, z.unknown()),
    deleteVolume: (name: string) => send("DELETE", volume(name), undefined, z.unknown()),
    encodeGrant: (name: string, runIndex: number, contentSha256: string): Promise<EncodeGrant> =>
      send("POST", `${volume(name)}/encode`, { runIndex, contentSha256 }, encodeGrantSchema),
    completeImport: (name: string, contentSha256: string) =>
      send("POST", `${volume(name)}/complete`, { contentSha256 }, z.unknown()),
    reader: (name: string): Promise<Reader> => get(`${volume(name)}/reader`, readerSchema),
    stripes: async (name: string): Promise<StripeView[]> =>
      (await get("/v1/stripes", stripesAnswerSchema, { volume: name })).stripes,
    stripe: (name: string) =>
      get(`/v1/stripes/${encodeURIComponent(name)}`, z.looseObject({ spec: z.looseObject({ volumeRef: z.string() }) })),
    startScrub: (request: { volume?: string; deep: boolean; repair: boolean }): Promise<ScrubReport> =>
      send("POST", "/v1/scrubs", request, scrubReportSchema),
    scrub: (id: string): Promise<ScrubReport> => get(`/v1/scrubs/${encodeURIComponent(id)}`, scrubReportSchema),
    repair: (): Promise<RepairStatus> => get("/v1/repair", repairStatusSchema),
    pauseRepair: () => send("POST", "/v1/repair/pause", undefined, z.unknown()),
    resumeRepair: () => send("POST", "/v1/repair/resume", undefined, z.unknown()),
    startRecover: (request: { verify: boolean; dryRun: boolean }): Promise<RecoverReport> =>
      send("POST", "/v1/recover", request, recoverReportSchema),
    recover: (): Promise<RecoverReport> => get("/v1/recover", recoverReportSchema),
  };
}

export type BrainClient = ReturnType<typeof createBrainClient>;
