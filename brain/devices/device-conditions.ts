/** What a StorageNode's condition says of its devices. Pure. */

import type { LiveNode } from "../inventory/live-node.ts";
import type { ConditionUpdate } from "../runtime/conditions.ts";
import { devicesOf, type FailingPool } from "./failing-pools.ts";

export const devicesCondition = "DevicesHealthy";

/** How far the evacuation of a pool is. */
export type EvacuationPhase = "emptying" | "held back" | "paused" | "emptied" | "blocked";

export interface PoolEvacuation {
  readonly pool: FailingPool;
  readonly phase: EvacuationPhase;
}

const phaseWords: Readonly<Record<EvacuationPhase, string>> = {
  emptying: "its shards are being put elsewhere",
  "held back": "nothing is moved off it: too many devices report that they are failing",
  paused: "nothing is moved off it: repair is paused",
  emptied: "it is empty: replace the device",
  blocked: "some of its shards can't be moved now: `couchestor repair status` says why",
};

/** The condition of a node; undefined if it reports no device, of which nothing is concluded. */
export function deviceCondition(node: LiveNode, evacuations: readonly PoolEvacuation[]): ConditionUpdate | undefined {
  const devices = devicesOf(node);
  if (devices.length === 0) return undefined;
  const here = evacuations.filter(({ pool }) => pool.nodeName === node.name);
  const of = (state: string) => devices.filter((device) => device.health?.state === state);
  const [failing, gone, wearing] = [of("Failing"), of("Gone"), of("Wearing")];
  const told = new Set(here.map(({ pool }) => pool.deviceId));
  const lines = [
    ...here.map(
      ({ pool, phase }) =>
        `pool ${pool.poolName} on ${pool.path} (${pool.deviceId}) is failing: ${because(pool.reasons)}; ${phaseWords[phase]}`,
    ),
    ...failing
      .filter(({ id }) => !told.has(id))
      .map((d) => `${d.path} (${d.id}) is failing: ${because(d.health?.reasons)}`),
    ...gone.map((d) => `${d.path} (${d.id}) is gone: ${because(d.health?.reasons)}`),
    ...wearing.map((d) => `${d.path} (${d.id}) is wearing: ${because(d.health?.reasons)}`),
  ];
  const reason = reasonOf(here, failing.length > 0, gone.length > 0, wearing.length > 0);
  return {
    type: devicesCondition,
    status: reason === "DevicesHealthy" ? "True" : "False",
    reason,
    message: lines.length === 0 ? "no device reports trouble" : lines.join(". "),
  };
}

/** The gravest first: what an administrator must act upon. */
function reasonOf(here: readonly PoolEvacuation[], failing: boolean, gone: boolean, wearing: boolean): string {
  const phases = new Set(here.map(({ phase }) => phase));
  if (phases.has("held back")) return "EvacuationHeldBack";
  if (phases.has("blocked")) return "EvacuationBlocked";
  if (phases.has("emptying") || phases.has("paused")) return "DeviceFailing";
  if (phases.has("emptied")) return "DeviceEmptied";
  if (failing) return "DeviceFailing";
  if (gone) return "DeviceGone";
  return wearing ? "DeviceWearing" : "DevicesHealthy";
}

function because(reasons: readonly string[] | undefined): string {
  return reasons === undefined || reasons.length === 0 ? "no reason was given" : reasons.join(", ");
}
