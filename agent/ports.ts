/** What the agent's core needs of the world. Adapters are joined in `wiring.ts`. */
import type { ActDone, ActDoneAnswer } from "@couchestor/common/api/acts.ts";
import type { ChunkKey, PutAnswer, VerifyAnswer } from "@couchestor/common/api/chunks.ts";
import type { NodeAddress, VolumeMap } from "@couchestor/common/api/maps.ts";
import type { Heartbeat, HeartbeatAnswer } from "@couchestor/common/api/nodes.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Checksum, ErasureCodec, RecoveryPlanner } from "@couchestor/native-ffi/codec/ports.ts";
import type { ChunkStore, VerifiedBlocks } from "./store/ports.ts";

/** Structured log lines; pino's logger is one. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The brain's cluster API, as far as an agent uses it. Every call may fail or go unanswered. */
export interface BrainPort {
  heartbeat(nodeName: string, heartbeat: Heartbeat): Promise<HeartbeatAnswer>;
  map(volumeUuid: string, firstStripe: number, stripeCount: number): Promise<VolumeMap>;
  actDone(done: ActDone, signal?: AbortSignal): Promise<ActDoneAnswer>;
}

/** Open pools by uuid. */
export interface OpenPools {
  /** Throws `NotFound` (none of this agent), `Unavailable` (known but not open) or `WrongCluster`. */
  get(poolUuid: string): ChunkStore;
  has(poolUuid: string): boolean;
}

/** The chunks of one node, here or elsewhere. What it returns has been verified on this side of the wire. */
export interface ChunkPeer {
  /** Durable on return. */
  put(poolUuid: string, image: Uint8Array, signal?: AbortSignal): Promise<PutAnswer>;
  get(
    poolUuid: string,
    key: ChunkKey,
    firstBlock: number,
    blockCount: number,
    signal?: AbortSignal,
  ): Promise<VerifiedBlocks>;
  /** Answers in the order of `keys`. */
  verify(poolUuid: string, keys: readonly ChunkKey[], signal?: AbortSignal): Promise<VerifyAnswer["results"]>;
}

/** `doubtful`: it failed to answer a moment ago; ask others first. */
export type PeerStanding = "local" | "online" | "doubtful" | "offline";

export interface Peers {
  /** Throws `Unavailable` for a node whose address is not known. */
  peer(nodeName: string, nodes: readonly NodeAddress[]): ChunkPeer;
  standing(nodeName: string, nodes: readonly NodeAddress[]): PeerStanding;
}

/** What encodes, checks and decodes. */
export interface Coding {
  codec: ErasureCodec;
  checksum: Checksum;
  plan: RecoveryPlanner;
}

/** What every part of the mover takes. */
export interface MoverContext extends Coding {
  clock: Clock;
  log: Log;
  peers: Peers;
}
