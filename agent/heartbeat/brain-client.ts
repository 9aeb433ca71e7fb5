/** The brain's cluster API over HTTP. */
import { actDoneAnswerSchema } from "@couchestor/common/api/acts.ts";
import { volumeMapSchema } from "@couchestor/common/api/maps.ts";
import { heartbeatAnswerSchema } from "@couchestor/common/api/nodes.ts";
import { createClient, type HttpClient } from "@couchestor/common/http/client.ts";
import type { PolicySettings } from "@couchestor/common/resilience/policies.ts";
import type { TlsMaterial } from "@couchestor/common/tls/material.ts";
import type { BrainPort } from "../ports.ts";

const beat: PolicySettings = {
  timeoutMs: 5_000,
  attemptsMax: 1,
  pauseMs: 0,
  pauseMsMax: 0,
  failuresToOpen: 1_000_000,
  openMs: 1,
};
const map: PolicySettings = {
  timeoutMs: 3_000,
  attemptsMax: 2,
  pauseMs: 50,
  pauseMsMax: 200,
  failuresToOpen: 4,
  openMs: 1_000,
};
/** A commit may wait for other commits of the volume. Its own loop repeats it. */
const report: PolicySettings = { ...beat, timeoutMs: 60_000 };

const mapBytesMax = 64 * 2 ** 20;

/** `tls` is asked for at every call, so that renewed certificates are used. */
export function brainClient(baseUrl: string, tls: () => TlsMaterial | undefined): BrainPort {
  const clients = new Map<PolicySettings, { client: HttpClient; tls: TlsMaterial | undefined }>();
  const client = (policy: PolicySettings): HttpClient => {
    const material = tls();
    const known = clients.get(policy);
    if (known !== undefined && known.tls === material) return known.client;
    const made = createClient({ peer: "the brain", baseUrl, tls: material, policy });
    clients.set(policy, { client: made, tls: material });
    return made;
  };
  return {
    heartbeat: (nodeName, heartbeat) =>
      client(beat).json("POST", `/v1/nodes/${nodeName}/heartbeat`, heartbeatAnswerSchema, { body: heartbeat }),
    map: (volumeUuid, firstStripe, stripeCount) =>
      client(map).json("GET", `/v1/maps/${volumeUuid}`, volumeMapSchema, {
        query: { firstStripe, stripeCount },
        answerBytesMax: mapBytesMax,
      }),
    actDone: (done, signal) =>
      client(report).json("POST", "/v1/acts/done", actDoneAnswerSchema, { body: done, signal }),
  };
}
