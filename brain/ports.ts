/** What the brain's parts need of the world: agents, time, randomness, the store and a log. Adapters are joined in `wiring.ts`. */
import type { ActTask } from "@couchestor/common/api/acts.ts";
import type {
  ChunkName,
  DeleteAnswer,
  DeleteRequest,
  ListAnswer,
  VerifyAnswer,
} from "@couchestor/common/api/chunks.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { ResourceStore } from "./store/ports.ts";

/** Structured log lines; pino's logger is one. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** An agent's cluster API, as far as the brain uses it. `url` is the agent's cluster listener. Every call may fail or go unanswered. */
export interface AgentPort {
  /** Hands the task to a mover. The same act again changes nothing. Returns when the mover has accepted it. */
  startAct(url: string, task: ActTask): Promise<void>;
  /** Stops an act; one the agent does not know counts as stopped. */
  cancelAct(url: string, actKey: string): Promise<void>;
  /** Deletes exactly the named copies; durable on return. */
  deleteChunks(url: string, poolUuid: string, request: DeleteRequest): Promise<DeleteAnswer>;
  /** Reads these copies whole, at most 1,024, and says how each is. */
  verifyChunks(url: string, poolUuid: string, names: readonly ChunkName[]): Promise<VerifyAnswer>;
  /** One page of what a pool holds. */
  listChunks(url: string, poolUuid: string, page: ChunkPage): Promise<ListAnswer>;
}

export interface ChunkPage {
  after?: string | undefined;
  limit: number;
  verify: boolean;
}

/** What nearly every part takes. */
export interface BrainContext {
  store: ResourceStore;
  clock: Clock;
  prng: Prng;
  log: Log;
  agents: AgentPort;
  /** Of this brain process; made anew at every start. */
  instanceUuid: string;
}

/** Drops every line; for tests and tools. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
