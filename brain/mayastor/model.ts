/**
 * What Mayastor's REST API v0 answers, read tolerantly: fields that are new are passed over, words that are new become `Unknown`, and what
 * versions leave out is optional. Only what makes an object unusable fails it, and it alone.
 */
import { z } from "zod";

/** A word of a list; any other is `Unknown`, which nothing treats as well. */
function word<const T extends readonly string[]>(...known: T) {
  return z.string().transform((text): T[number] | "Unknown" => (known.includes(text) ? text : "Unknown"));
}

const bytes = z.number().min(0);
const labels = z.record(z.string(), z.string());

/** Labels that nodes or pools must have, or must not. An empty value stands for any. */
const labelledSchema = z.object({ inclusion: labels.nullish(), exclusion: labels.nullish() });

export const replicaTopologySchema = z.object({
  node: z.string().nullish(),
  pool: z.string().nullish(),
  state: word("Online", "Degraded", "Faulted").catch("Unknown"),
  "child-status": word("Online", "Degraded", "Faulted").nullish(),
  "rebuild-progress": z.number().nullish(),
  /** 2.9 and newer. */
  healthy: z.boolean().nullish(),
  usage: z.object({ allocated: bytes.nullish() }).nullish().catch(undefined),
});

const nexusSchema = z.object({
  uuid: z.string(),
  node: z.string(),
  state: word("Online", "Degraded", "Faulted", "ShuttingDown", "Shutdown").catch("Unknown"),
  rebuilds: z.number().nullish(),
  children: z.array(
    z.object({
      uri: z.string(),
      state: word("Online", "Degraded", "Faulted").catch("Unknown"),
      rebuildProgress: z.number().nullish(),
    }),
  ),
});

export const volumeSchema = z.object({
  spec: z.object({
    uuid: z.string(),
    size: bytes,
    num_replicas: z.number().int().min(0),
    status: word("Creating", "Created", "Deleting", "Deleted").catch("Unknown"),
    thin: z.boolean().nullish(),
    policy: z.object({ self_heal: z.boolean().nullish() }).nullish(),
    target: z.object({ node: z.string() }).nullish(),
    topology: z
      .object({
        node_topology: z
          .object({
            labelled: labelledSchema.nullish(),
            explicit: z.object({ allowed_nodes: z.array(z.string()).catch([]) }).nullish(),
          })
          .nullish(),
        pool_topology: z.object({ labelled: labelledSchema.nullish() }).nullish(),
      })
      .nullish(),
    affinity_group: z.object({ id: z.string() }).nullish(),
    num_snapshots: z.number().nullish(),
    operation: z.object({ operation: z.string() }).nullish(),
  }),
  state: z.object({
    status: word("Online", "Degraded", "Faulted", "Shutdown").catch("Unknown"),
    target: nexusSchema.nullish(),
    replica_topology: z.record(z.string(), replicaTopologySchema),
  }),
});
export type MayastorVolume = z.output<typeof volumeSchema>;

export const poolSchema = z.object({
  id: z.string(),
  spec: z
    .object({
      node: z.string(),
      labels: labels.nullish(),
      status: word("Creating", "Created", "Deleting", "Deleted").catch("Unknown"),
      /** 2.10 and newer; its inner form varies. */
      cordon_drain: z.unknown().optional(),
    })
    .nullish(),
  /** Absent while the pool's node can't be reached. */
  state: z
    .object({
      node: z.string(),
      status: word("Online", "Degraded", "Faulted", "Offline", "Suspected").catch("Unknown"),
      capacity: bytes,
      used: bytes,
      committed: bytes.nullish(),
    })
    .nullish(),
});
export type MayastorPool = z.output<typeof poolSchema>;

export const nodeSchema = z.object({
  id: z.string(),
  spec: z
    .object({ labels: labels.nullish(), version: z.string().nullish(), cordondrainstate: z.unknown().optional() })
    .nullish(),
  state: z.object({ status: word("Online", "Offline").catch("Unknown"), version: z.string().nullish() }).nullish(),
});
export type MayastorNode = z.output<typeof nodeSchema>;

export const rebuildHistorySchema = z.object({
  records: z.array(
    z.object({
      childUri: z.string(),
      rebuildJobState: word("Init", "Rebuilding", "Stopped", "Paused", "Failed", "Completed").catch("Unknown"),
      blocksTotal: z.number().catch(0),
      blocksRecovered: z.number().catch(0),
      blocksRemaining: z.number().nullish(),
      blockSize: z.number().catch(0),
      endTime: z.string().nullish(),
    }),
  ),
});
export type RebuildHistory = z.output<typeof rebuildHistorySchema>;

/** The description that a server gives of itself: its paths tell what it can do. */
export const descriptionSchema = z.object({ paths: z.record(z.string(), z.unknown()) });

export const volumePageSchema = z.object({ entries: z.array(z.unknown()), next_token: z.number().nullish() });

export const restErrorSchema = z.object({
  kind: z.string().max(128),
  details: z.string().max(65_536).catch(""),
  message: z.string().max(65_536).catch(""),
});
