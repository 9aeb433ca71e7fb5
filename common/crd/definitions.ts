/** All kinds that are installed in a cluster, with what kubectl shows of them. */
import { clusterKind } from "./cluster.ts";
import type { KindDefinition, PrinterColumn } from "./definition.ts";
import { ecStripeKind } from "./ec-stripe.ts";
import { ecVolumeKind } from "./ec-volume.ts";
import { erasureCodingPolicyKind } from "./erasure-coding-policy.ts";
import { migrationKind } from "./migration.ts";
import type { ResourceKind } from "./object.ts";
import { storageNodeKind } from "./storage-node.ts";
import { storagePolicyKind } from "./storage-policy.ts";
import type { FieldTexts } from "./structural.ts";
import { tombstoneKind } from "./volume-tombstone.ts";

const column = (name: string, type: PrinterColumn["type"], jsonPath: string, priority?: number): PrinterColumn => ({
  name,
  type,
  jsonPath,
  ...(priority === undefined ? {} : { priority }),
});

/** The descriptions of a code at `path`, which the wire's schema has none of. */
const codeTexts = (path: string): FieldTexts => ({
  [`${path}.family`]:
    "replica: n copies. rs: k data and m parity shards. lrc: k data, l local and g global parity shards.",
  [`${path}.k`]: "Data shards.",
  [`${path}.m`]: "Parity shards of rs.",
  [`${path}.l`]: "Local groups of lrc, each with a parity shard.",
  [`${path}.g`]: "Global parity shards of lrc.",
  [`${path}.n`]: "Copies.",
});

const locationTexts = (path: string): FieldTexts => ({
  [`${path}.shardIndex`]: "Which shard.",
  [`${path}.poolUuid`]: "The pool; a pool made anew under an old name is another.",
  [`${path}.nodeName`]: "The node of the pool.",
  [`${path}.poolName`]: "The pool's name.",
  [`${path}.putEpoch`]: "The epoch of the act that put it there.",
  [`${path}.putAct`]: "The act that put it there.",
});

const stripeTexts: FieldTexts = {
  ...codeTexts("spec.code"),
  ...codeTexts("spec.placements[].code"),
  ...locationTexts("spec.placements[].shardLocations[]"),
  ...locationTexts("spec.exceptions[]"),
  "spec.exceptions[].stripe": "The stripe.",
  "spec.exceptions[].present": "Whether there is a chunk at all.",
};

const poolTexts: FieldTexts = Object.fromEntries(
  Object.entries({
    poolUuid: "Names the pool; one made anew under an old name is another.",
    poolName: "The pool's name on its node.",
    kind: "directory, block or zoned: what it is made on.",
    labels: "tier, media and whatever else selectors may name.",
    state:
      "Online: reads and writes. Full: reads. ReadOnly: the medium refuses writes. Failed: it fails reads too, or is gone.",
    reason: "Why it is not Online.",
    clusterUuid: "The cluster that its chunks belong to.",
    capacityBytes: "Size of the medium.",
    usedBytes: "Bytes taken on the medium, garbage included.",
    freeBytes: "Bytes that may still be written.",
    liveBytes: "Bytes of live chunks, headers included.",
    chunkCount: "Live chunks.",
  }).map(([name, text]) => [`status.pools[].${name}`, text]),
);

/** In the order in which they are installed. */
export const definitions: readonly KindDefinition[] = [
  {
    kind: storagePolicyKind as ResourceKind,
    text: "StoragePolicy says which volumes are watched, when they count as hot, warm or cold, and which pools those tiers are.",
    specText: "What is wanted.",
    statusText: "What was found and done.",
    columns: [
      column("High IOPS", "integer", ".spec.highWatermarkIOPS"),
      column("Low IOPS", "integer", ".spec.lowWatermarkIOPS"),
      column("Phase", "string", ".status.phase"),
      column("Watched", "integer", ".status.watchedVolumes"),
      column("Migrations", "integer", ".status.totalMigrations"),
      column("Hot", "integer", ".status.hotVolumes", 1),
      column("Warm", "integer", ".status.warmVolumes", 1),
      column("Cold", "integer", ".status.coldVolumes", 1),
    ],
  },
  {
    kind: erasureCodingPolicyKind as ResourceKind,
    text: "ErasureCodingPolicy is an erasure code with its journal and scrubbing, by name. Its code never changes.",
    specText: "The code and how volumes of this policy are kept.",
    statusText: "Whether it is valid, and what is stored by it.",
    columns: [
      column("Data Shards", "integer", ".spec.dataShards"),
      column("Parity Shards", "integer", ".spec.parityShards"),
      column("Stripe Size", "integer", ".spec.stripeSizeBytes"),
      column("Algorithm", "string", ".spec.algorithm"),
      column("Phase", "string", ".status.phase"),
      column("Volumes", "integer", ".status.activeVolumes", 1),
      column("Degraded", "integer", ".status.degradedStripes", 1),
    ],
  },
  {
    kind: migrationKind as ResourceKind,
    text: "Migration is one move of one volume between tiers: its steps, written before they are taken, and its outcome. It outlives its policy.",
    specText: "The move as it was decided. Nothing of it changes but abort.",
    statusText: "How far it is and how it ended.",
    columns: [
      column("Volume", "string", ".spec.volumeName"),
      column("From", "string", ".spec.fromTier"),
      column("To", "string", ".spec.toTier"),
      column("Phase", "string", ".status.phase"),
      column("Progress", "integer", ".status.progressPercent"),
      column("Outcome", "string", ".status.outcome.result"),
      column("Policy", "string", ".spec.policyRef", 1),
      column("Reason", "string", ".status.outcome.reason", 1),
    ],
  },
  {
    kind: ecVolumeKind as ResourceKind,
    text: "ECVolume is an erasure-coded block volume.",
    specText: "The volume's geometry, code and placement, set when it is made.",
    statusText: "Who owns it and how it stands.",
    columns: [
      column("Size", "integer", ".spec.sizeBytes"),
      column("Policy", "string", ".spec.policyRef"),
      column("Phase", "string", ".status.phase"),
      column("Owner", "string", ".status.ownership.owner.nodeName", 1),
    ],
    texts: codeTexts("spec.code"),
  },
  {
    kind: ecStripeKind as ResourceKind,
    text: "ECStripe is a run of stripes of one ECVolume with one placement. It is written by the operator only.",
    specText: "What is committed. A change by hand makes the run unusable until it is put back or accepted.",
    statusText: "What was observed; it decides nothing.",
    columns: [
      column("Volume", "string", ".spec.volumeRef"),
      column("Stripe ID", "integer", ".spec.stripeId"),
      column("Status", "string", ".status.state"),
      column("Healthy Shards", "integer", ".status.healthyShards"),
      column("Generation", "integer", ".spec.generation", 1),
    ],
    texts: stripeTexts,
  },
  {
    kind: storageNodeKind as ResourceKind,
    text: "StorageNode is a node with its pools, as its agent reports them.",
    specText: "The node's labels.",
    statusText: "The node as of its last transition.",
    columns: [
      column("State", "string", ".status.state"),
      column("Version", "string", ".status.version"),
      column("Since", "date", ".status.since"),
    ],
    texts: poolTexts,
  },
  {
    kind: clusterKind as ResourceKind,
    text: "Cluster is the one object, named cluster, that says which cluster this is.",
    specText: "The identity.",
    statusText: "Nothing yet is observed of a cluster as a whole.",
    columns: [column("Cluster UUID", "string", ".spec.clusterUuid")],
  },
  {
    kind: tombstoneKind as ResourceKind,
    text: "VolumeTombstone is what is left of a deleted volume, so that late chunks of it are known for what they are.",
    specText: "Which volume it was.",
    statusText: "Which pools are yet to be swept.",
    columns: [
      column("Volume", "string", ".spec.name"),
      column("Deleted", "date", ".spec.deletedAt"),
      column("Swept", "integer", ".status.sweptPools", 1),
    ],
  },
];
