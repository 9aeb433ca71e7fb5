/** What the demo holds the cluster to. */
import { open } from "node:fs/promises";
import type { ScrubReport, StripeView } from "@couchestor/common/api/admin.ts";
import { lossesTolerated, shardCount } from "@couchestor/common/code/code.ts";

/** What is wrong with where the shards are; empty if nothing is: k+m shards, each in a pool of its own, at most m on a node, all reachable. */
export function placementFaults(stripes: readonly StripeView[]): string[] {
  return stripes.flatMap((stripe) => {
    const faults: string[] = [];
    const pools = new Set(stripe.shards.map((shard) => shard.poolUuid));
    if (stripe.shards.length !== shardCount(stripe.code)) faults.push(`${stripe.shards.length} shards`);
    if (pools.size !== stripe.shards.length) faults.push("two shards in one pool");
    if (mostOnOneNode(stripe) > lossesTolerated(stripe.code))
      faults.push(`${mostOnOneNode(stripe)} shards on one node`);
    if (stripe.shards.some((shard) => !shard.online) || stripe.missing.length > 0)
      faults.push("a shard that can't be reached");
    return faults.map((fault) => `${stripe.name}: ${fault}`);
  });
}

/** How many shards of the run are on the node that has the most of them. */
export function mostOnOneNode(stripe: StripeView): number {
  const counts = new Map<string, number>();
  for (const shard of stripe.shards) counts.set(shard.nodeName, (counts.get(shard.nodeName) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}

/** An audit reads each chunk twice: its holder verifies it where it is, and the mover reads it to encode the parity again. */
const readsOfAudit = 2;

/** What is wrong with an audit that should be clean; empty if nothing is. */
export function auditFaults(report: ScrubReport, stripes: readonly StripeView[]): string[] {
  const faults: string[] = [];
  const stripesThere = stripes.reduce((sum, stripe) => sum + stripe.stripeCount, 0);
  const chunksThere = stripes.reduce((sum, stripe) => sum + stripe.stripeCount * shardCount(stripe.code), 0);
  if (report.state !== "Done")
    faults.push(`it ended ${report.state}${report.error === undefined ? "" : `: ${report.error}`}`);
  if (report.findings.length > 0) faults.push(`${report.findings.length} chunks are not as they must be`);
  if (report.stripesChecked !== stripesThere)
    faults.push(`${report.stripesChecked} of ${stripesThere} stripes were checked`);
  const readsDue = chunksThere * readsOfAudit;
  if (report.chunksChecked !== readsDue)
    faults.push(`${report.chunksChecked} of ${readsDue} reads of chunks were made`);
  return faults;
}

/** Compares bytes that come in order with a file: the first byte that differs, or -1. */
export class Comparison {
  readonly #path: string;
  firstDifference = -1;
  #file: Awaited<ReturnType<typeof open>> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async take(bytes: Uint8Array, offset: number): Promise<void> {
    this.#file ??= await open(this.#path, "r");
    const own = Buffer.alloc(bytes.length);
    const { bytesRead } = await this.#file.read(own, 0, own.length, offset);
    if (this.firstDifference >= 0 || (bytesRead === bytes.length && own.equals(bytes))) return;
    const at = own.findIndex((byte, index) => index >= bytesRead || byte !== bytes[index]);
    this.firstDifference = offset + Math.max(0, at);
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
