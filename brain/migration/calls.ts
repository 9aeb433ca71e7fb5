/** The calls that change something at the control plane, as data; and how each is made. */
import type { MayastorClient } from "../mayastor/client.ts";
import type { WriteOutcome } from "../mayastor/outcome.ts";
import type { Steering } from "./movers/mover.ts";

export type Call =
  | { kind: "SetReplicaCount"; volume: string; count: number }
  | { kind: "SetSteering"; item: Steering }
  | { kind: "TakeBackSteering"; item: Steering };

/** Makes it. Never throws for what the server does or doesn't say. */
export async function make(client: MayastorClient, call: Call, signal: AbortSignal | undefined): Promise<WriteOutcome> {
  if (call.kind === "SetReplicaCount") return await client.setReplicaCount(call.volume, call.count, signal);
  const { kind, target, detail } = call.item;
  const setting = call.kind === "SetSteering";
  switch (kind) {
    case "PoolCordon":
      return setting ? await client.cordonPool(target, signal) : await client.uncordonPool(target, signal);
    case "NodeCordon":
      return setting
        ? await client.cordonNode(target, detail, signal)
        : await client.uncordonNode(target, detail, signal);
    case "PoolLabel": {
      const [key, value] = labelOf(detail);
      return setting
        ? await client.removePoolLabel(target, key, signal)
        : await client.setPoolLabel(target, key, value, signal);
    }
  }
}

/** `key=value`. */
export function labelOf(detail: string): [key: string, value: string] {
  const at = detail.indexOf("=");
  return [detail.slice(0, at), detail.slice(at + 1)];
}

/** For logs and metrics: `SetReplicaCount`, `SetPoolCordon`, `TakeBackNodeCordon`. */
export function nameOf(call: Call): string {
  if (call.kind === "SetReplicaCount") return call.kind;
  return `${call.kind === "SetSteering" ? "Set" : "TakeBack"}${call.item.kind}`;
}
