/** The agents' cluster API over HTTP: `AgentPort` for the real world. One client an agent, so that one that is down slows nobody else. */
import { deleteAnswerSchema, listAnswerSchema, verifyAnswerSchema } from "@couchestor/common/api/chunks.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { createClient, type HttpClient } from "@couchestor/common/http/client.ts";
import { type PolicySettings, policies } from "@couchestor/common/resilience/policies.ts";
import type { TlsMaterial } from "@couchestor/common/tls/material.ts";
import type { AgentPort } from "../ports.ts";

/** A page whose chunks are all read from the medium takes as long as reading them. */
const verifyPolicy: PolicySettings = { ...policies.query, timeoutMs: 120_000, attemptsMax: 2 };
const deletePolicy: PolicySettings = { ...policies.order, timeoutMs: 30_000 };
const listAnswerBytesMax = 64 * 1024 * 1024;
const clientsMax = 4096;

/** `tls` is asked for at every call: once it gives other certificates, calls go over new clients. */
export function httpAgents(tls: () => TlsMaterial | undefined): AgentPort {
  const clients = new Map<string, HttpClient>();
  let certificates = tls();
  const client = (url: string, kind: "order" | "delete" | "list" | "verify"): HttpClient => {
    if (certificates !== tls()) {
      certificates = tls();
      clients.clear();
    }
    const key = `${kind} ${url}`;
    const known = clients.get(key);
    if (known) return known;
    if (clients.size >= clientsMax) clients.clear();
    const policy = { order: policies.order, delete: deletePolicy, list: policies.query, verify: verifyPolicy }[kind];
    const made = createClient({ peer: `agent at ${url}`, baseUrl: url, tls: certificates, policy });
    clients.set(key, made);
    return made;
  };
  return {
    async startAct(url, task) {
      const bytes = new TextEncoder().encode(JSON.stringify(task));
      await client(url, "order").bytes("POST", "/v1/acts", { bytes, headers: { "content-type": "application/json" } });
    },
    async cancelAct(url, key) {
      try {
        await client(url, "order").bytes("DELETE", `/v1/acts/${key}`);
      } catch (error) {
        if (!isAppError(error, "NotFound")) throw error;
      }
    },
    deleteChunks(url, poolUuid, request) {
      return client(url, "delete").json("POST", `/v1/pools/${poolUuid}/chunks/delete`, deleteAnswerSchema, {
        body: request,
      });
    },
    verifyChunks(url, poolUuid, names) {
      return client(url, "verify").json("POST", `/v1/pools/${poolUuid}/chunks/verify`, verifyAnswerSchema, {
        body: { names },
        idempotent: true,
      });
    },
    listChunks(url, poolUuid, page) {
      return client(url, page.verify ? "verify" : "list").json(
        "GET",
        `/v1/pools/${poolUuid}/chunks`,
        listAnswerSchema,
        {
          query: { after: page.after, limit: page.limit, verify: page.verify },
          answerBytesMax: listAnswerBytesMax,
        },
      );
    },
  };
}
