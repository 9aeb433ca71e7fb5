/** Which mover fits the server. */
import type { MigrationAllowances } from "../settings.ts";
import type { ServerVersion } from "../version.ts";
import { labelSteeringMover } from "./label-steering.ts";
import type { ReplicaMover } from "./mover.ts";
import { nodeCordonMover } from "./node-cordon.ts";
import { poolCordonMover } from "./pool-cordon.ts";

const movers = { PoolCordon: poolCordonMover, NodeCordon: nodeCordonMover, LabelSteering: labelSteeringMover } as const;

/** The mover of that name. */
export function moverOf(name: keyof typeof movers): ReplicaMover {
  return movers[name];
}

/** The gentlest one that the server's version allows; or why none. */
export function chooseMover(
  version: ServerVersion,
  allow: MigrationAllowances,
): ReplicaMover | { refused: "UnsupportedVersion"; message: string } {
  if (version.poolCordon) return poolCordonMover;
  if (version.nodeCordonAware) return nodeCordonMover;
  if (version.topologyAware && allow.labelSteering) return labelSteeringMover;
  const lift = version.topologyAware
    ? "upgrade, or allow steering by labels"
    : "upgrade: before 2.7.3 nothing decides which replica leaves";
  return { refused: "UnsupportedVersion", message: `Mayastor is ${version.text}, 2.9 or newer is needed; ${lift}` };
}
