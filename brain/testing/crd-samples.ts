/** One complete object of each kind, with a status, for tests of what an API server keeps of it. */
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import type { Cluster } from "@couchestor/common/crd/cluster.ts";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { type ErasureCodingPolicy, journalConfigDefaults } from "@couchestor/common/crd/erasure-coding-policy.ts";
import type { Migration } from "@couchestor/common/crd/migration.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import type { StorageNode } from "@couchestor/common/crd/storage-node.ts";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { readableStatus } from "@couchestor/common/crd/stripe-status.ts";
import type { Tombstone } from "@couchestor/common/crd/volume-tombstone.ts";

const at = "2026-01-02T03:04:05.678Z";
const uuid = "0b6f4a3e-1d2c-4b5a-8f9e-7d6c5b4a3f2e";
const conditions = [
  {
    type: "Ready",
    status: "True" as const,
    reason: "Reconciled",
    message: "All is well.",
    lastTransitionTime: at,
    observedGeneration: 1,
  },
];

export const storagePolicySample: StoragePolicy = {
  apiVersion,
  kind: "StoragePolicy",
  metadata: { name: "sample" },
  spec: {
    highWatermarkIOPS: 8000,
    warmWatermarkIOPS: 3000,
    lowWatermarkIOPS: 300,
    samplingWindow: "30m",
    cooldownPeriod: "2d12h",
    storageClassName: "fast",
    hotPoolSelector: { matchLabels: { tier: "hot" } },
    warmPoolSelector: { matchExpressions: [{ key: "tier", operator: "In", values: ["warm", "medium"] }] },
    coldPoolSelector: { matchLabels: { tier: "cold" }, matchExpressions: [{ key: "old", operator: "DoesNotExist" }] },
    volumeSelector: { matchExpressions: [{ key: "team", operator: "Exists" }] },
    maxConcurrentMigrations: 4,
    migrationTimeout: "45m",
    maxBytesPerSecond: 209_715_200,
    schedule: { cron: "0 1 * * *", duration: "5h", timeZone: "Europe/Vienna" },
    pauseAfterFailures: 5,
    enabled: false,
    dryRun: true,
    preservationMode: true,
    ecPolicyRef: "wide",
    ecMinVolumeSizeBytes: 0,
  },
  status: {
    phase: "Active",
    observedGeneration: 1,
    watchedVolumes: 5,
    hotVolumes: 1,
    warmVolumes: 1,
    coldVolumes: 1,
    mixedVolumes: 1,
    unknownVolumes: 1,
    activeMigrations: 0,
    totalMigrations: 7,
    failedMigrations: 2,
    lastReconcileTime: at,
    migrationHistory: [
      {
        volumeName: "pvc-1",
        timestamp: at,
        fromTier: "cold",
        toTier: "hot",
        triggerIOPS: 8123.5,
        duration: "12m30s",
        success: false,
        error: "no room",
      },
    ],
    plannedMoves: [{ volumeName: "pvc-2", fromTier: "mixed", toTier: "cold", iops: 0.25, reason: "at most 300 IOPS" }],
    conditions,
  },
};

export const erasureCodingPolicySample: ErasureCodingPolicy = {
  apiVersion,
  kind: "ErasureCodingPolicy",
  metadata: { name: "sample" },
  spec: {
    dataShards: 12,
    parityShards: 4,
    stripeSizeBytes: 12 * 65_536,
    algorithm: "LRC",
    localGroups: 2,
    journalConfig: { ...journalConfigDefaults, replicationFactor: 5 },
    minHealthyShards: 14,
    scrubbingEnabled: true,
    scrubInterval: "14d",
  },
  status: {
    phase: "Active",
    observedGeneration: 1,
    activeVolumes: 1,
    totalStripes: 10,
    healthyStripes: 7,
    degradedStripes: 2,
    rebuildingStripes: 1,
    storageEfficiency: 0.75,
    lastValidationTime: at,
    message: "lrc(12,2,2)",
    conditions,
  },
};

export const migrationSample: Migration = {
  apiVersion,
  kind: "Migration",
  metadata: { name: "sample" },
  spec: {
    volumeName: "pvc-1",
    volumeUuid: uuid,
    policyRef: "sample",
    policyUid: uuid,
    mover: "Mayastor",
    fromTier: "cold",
    toTier: "hot",
    originalReplicaCount: 2,
    finalReplicaCount: 2,
    replicas: [{ replicaUuid: uuid, fromPool: "cold-1", fromNode: "node-1", toPools: ["hot-2", "hot-3"] }],
    ecPolicyRef: "wide",
    sizeBytes: 1_073_741_824,
    triggerIOPS: 9000.5,
    reason: "at least 8000 IOPS for 30m",
    timeout: "45m",
    preservationMode: true,
    abort: false,
  },
  status: {
    phase: "Copying",
    observedGeneration: 1,
    steps: [
      {
        number: 1,
        name: "AddReplica",
        state: "Done",
        intent: { count: "3" },
        observed: { replica: uuid },
        attempts: 1,
        intendedAt: at,
        endedAt: at,
        error: "late",
      },
    ],
    baseline: {
      replicas: [{ replicaUuid: uuid, pool: "cold-1" }],
      requiredCopies: 2,
      mover: "PoolCordon",
      order: "GrowFirst",
    },
    expectedReplicaCount: 3,
    failures: 1,
    elapsedSeconds: 60,
    ending: { result: "TimedOut", reason: "Slow", message: "not within 45m" },
    message: "waits for the rebuild",
    stepsDropped: 0,
    heldSteering: [{ kind: "NodeCordon", target: "node-1", detail: "couchestor-sample", state: "Set" }],
    bytesTotal: 1_073_741_824,
    bytesDone: 5,
    progressPercent: 0,
    estimatedEndTime: at,
    startTime: at,
    endTime: at,
    outcome: { result: "TimedOut", reason: "Slow", message: "not within 45m" },
    conditions,
  },
};

const code = { family: "rs", k: 4, m: 2 } as const;
const member = { replicaUuid: uuid, nodeName: "node-1", poolUuid: uuid };

export const ecVolumeSample: EcVolume = {
  apiVersion,
  kind: "ECVolume",
  metadata: { name: "sample" },
  spec: {
    volumeUuid: uuid,
    sizeBytes: 1_000_000,
    blockSizeBytes: 4096,
    stripeSizeBytes: 65_536,
    stripesPerRun: 16,
    policyRef: "sample",
    code: { family: "lrc", k: 12, l: 2, g: 2 },
    placement: { failureDomain: "zone", poolSelector: { media: "hdd" } },
    journal: { replicationFactor: 3, sizeBytes: 1_073_741_824 },
    lease: { milliseconds: 3000, driftPercent: 10 },
    readMode: "lease",
  },
  status: {
    phase: "Ready",
    ownership: {
      owner: { kind: "maintenance", nodeName: "", instanceUuid: uuid, epoch: 2 ** 32 },
      journal: { journalId: uuid, ensembleId: 1, members: [member], changedInEpoch: 2 ** 32 },
    },
    proposedMembers: [member],
    commitSeq: 5,
    checkpointSeq: 4,
    highestEpochSeen: 2 ** 32,
    importedBytes: 1_000_000,
    contentSha256: "ab".repeat(32),
    conditions,
  },
};

const stripeSpec: EcStripe["spec"] = {
  volumeRef: "sample",
  volumeUuid: uuid,
  journalId: uuid,
  stripeId: 16,
  policyRef: "sample",
  firstStripe: 16,
  stripeCount: 16,
  lbaRange: { startBytes: 16 * 65_536, endBytes: 32 * 65_536 },
  authority: "store",
  fencedEpoch: 2 ** 32,
  generation: 1,
  encodeEpoch: 2 ** 32,
  encodeAct: 7,
  throughSeq: 0,
  code,
  placements: [
    {
      version: 1,
      code,
      shardLocations: [0, 1, 2, 3, 4, 5].map((shardIndex) => ({
        shardIndex,
        poolUuid: uuid,
        nodeName: `node-${shardIndex}`,
        poolName: `pool-${shardIndex}`,
        putEpoch: 2 ** 32,
        putAct: 7,
      })),
      since: at,
    },
  ],
  exceptions: [{ stripe: 17, shardIndex: 3, poolUuid: uuid, putEpoch: 2 ** 32, putAct: 8, present: true }],
  proposedPlacement: { version: 2, reason: "tier", planId: "p1" },
  checksum: "cd".repeat(32),
};

export const ecStripeSample: EcStripe = {
  apiVersion,
  kind: "ECStripe",
  metadata: { name: "sample-0000000016" },
  spec: stripeSpec,
  status: readableStatus(stripeSpec, {
    state: "Rebuilding",
    missingShards: [1, 5],
    observedEpoch: 2 ** 32,
    observedSeq: 0,
    lastScrub: at,
    lastAudit: at,
    rebuildProgress: 40,
    conditions,
  }),
};

export const storageNodeSample: StorageNode = {
  apiVersion,
  kind: "StorageNode",
  metadata: { name: "sample" },
  spec: { labels: { zone: "a" } },
  status: {
    state: "Online",
    since: at,
    instanceUuid: uuid,
    version: "0.1.0",
    clusterUrl: "https://node-1:7400",
    adminUrl: "https://node-1:7401",
    codec: "isal",
    pools: [
      {
        poolUuid: uuid,
        poolName: "pool-1",
        kind: "directory",
        labels: { tier: "cold" },
        state: "ReadOnly",
        reason: "the medium refuses writes",
        clusterUuid: zeroUuid,
        capacityBytes: 10,
        usedBytes: 5,
        freeBytes: 5,
        liveBytes: 4,
        chunkCount: 1,
      },
    ],
    conditions,
  },
};

export const clusterSample: Cluster = {
  apiVersion,
  kind: "Cluster",
  metadata: { name: "cluster" },
  spec: { clusterUuid: uuid, repairPaused: true },
};

export const tombstoneSample: Tombstone = {
  apiVersion,
  kind: "VolumeTombstone",
  metadata: { name: uuid },
  spec: { volumeUuid: uuid, name: "sample", epoch: 2 ** 33, deletedAt: at },
  status: { pendingPools: [uuid], sweptPools: 3 },
};
