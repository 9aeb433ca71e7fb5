/** What the server can do, from whatever tells: its paths, fields of its answers, the versions of its nodes. It has no version to ask for. */
import type { MayastorFeatures } from "../mayastor/client.ts";
import type { ClusterView, VolumeView } from "./view.ts";

export interface ServerVersion {
  /** Pools can be cordoned: 2.10. */
  poolCordon: boolean;
  /** A replica on a cordoned node is removed before others: 2.9. */
  nodeCordonAware: boolean;
  /** A replica whose pool lacks a label that its volume wants is removed before others: 2.7.3. */
  topologyAware: boolean;
  /** For messages: `2.10 or newer`. */
  text: string;
}

interface Parsed {
  minor: number;
  patch: number;
}

/** The oldest that fits what is seen: a cluster in the middle of an upgrade is as old as its oldest node. */
export function serverVersion(
  features: MayastorFeatures,
  cluster: ClusterView,
  volume: VolumeView | "absent",
): ServerVersion {
  const replicas = volume === "absent" ? [] : volume.replicas;
  const healthTold = replicas.some((replica) => replica.healthy !== undefined);
  const oldest = oldestNode(cluster);
  const atLeast = (minor: number, patch = 0): boolean =>
    oldest !== undefined && (oldest.minor > minor || (oldest.minor === minor && oldest.patch >= patch));
  const nodeCordonAware = features.poolCordon || healthTold || atLeast(9);
  return {
    poolCordon: features.poolCordon,
    nodeCordonAware,
    topologyAware: nodeCordonAware || atLeast(7, 3),
    text: features.poolCordon
      ? "2.10 or newer"
      : oldest === undefined
        ? "of unknown version"
        : `2.${oldest.minor}.${oldest.patch}`,
  };
}

function oldestNode(cluster: ClusterView): Parsed | undefined {
  let oldest: Parsed | undefined;
  for (const { version } of cluster.nodes.values()) {
    const found = parse(version);
    if (found === undefined) return undefined;
    if (
      oldest === undefined ||
      found.minor < oldest.minor ||
      (found.minor === oldest.minor && found.patch < oldest.patch)
    )
      oldest = found;
  }
  return oldest;
}

/** `v2.9.0`, `2.7.1-rc.1`. Undefined for what isn't 2.x; 3 and newer would be newer than any rule here. */
function parse(text: string | undefined): Parsed | undefined {
  const match = /^v?2\.(\d+)\.(\d+)/.exec(text ?? "");
  return match === null ? undefined : { minor: Number(match[1]), patch: Number(match[2]) };
}
