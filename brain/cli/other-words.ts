/** Words that the root entry answers itself, for help, suggestions and completion. */
export const otherWords: readonly (readonly [string, string])[] = [
  ["agent", "The process of a storage node: chunk store, codec, mover"],
  ["brain", "The process that keeps volumes, places shards, repairs and scrubs"],
  ["bench", "Measure this machine: codec, chunk store, cluster"],
  ["codec-selftest", "Check that all codecs of this machine give the same bytes"],
  ["worker-selftest", "Check that the threads of this program start and answer"],
];
