/** The calls of the simulated file system, and what can be done to them. */

export type SimOperation =
  | "open"
  | "list"
  | "make-directory"
  | "rename"
  | "remove"
  | "sync-directory"
  | "exists"
  | "space"
  | "lock"
  | "read"
  | "write"
  | "sync"
  | "truncate"
  | "size"
  | "drop-cache"
  | "close";

export interface SimCall {
  /** Counts all calls since the file system was made. */
  index: number;
  operation: SimOperation;
  path: string;
  /** How many bytes a read or write is for. */
  bytes: number;
}

/**
 * What happens instead of the call: `crash` stops the machine in the midst of it, `skip` does nothing and says it was done, `short` writes
 * the first half and then fails with ENOSPC; anything else is the error code to fail with.
 */
export type SimFault = "crash" | "skip" | "short" | (string & {});
