/** Steps of the demo: what was lost is rebuilt, all of it is audited, and a damaged chunk is found. */
import type { StripeView } from "@couchestor/common/api/admin.ts";
import { lossesTolerated } from "@couchestor/common/code/code.ts";
import { runScrub } from "../cli/maintain/watch-scrub.ts";
import { countText, sizeText } from "../cli/text.ts";
import { auditFaults, mostOnOneNode, placementFaults } from "./checks.ts";
import type { Damage } from "./damage-step.ts";
import { type Stage, volumeName, waitUntil } from "./stage.ts";

const rebuildTimeoutMs = 180_000;

/** Lets repair go and waits until every run is Healthy again, without a shard on the nodes that were killed. */
export async function rebuildStep(stage: Stage, killed: readonly string[]): Promise<void> {
  const { story, output, client } = stage;
  await story.step("rebuild", "rebuild the lost shards onto the four nodes left", async () => {
    await client.resumeRepair();
    const bar = output.progress({ label: "rebuild", total: 0, unit: "stripes" });
    let moved = 0;
    let stripes = 0;
    await waitUntil(stage, "the rebuild", rebuildTimeoutMs, async () => {
      const status = await client.repair();
      moved = Math.max(moved, status.bytesMoved);
      stripes = Math.max(stripes, status.stripesDone);
      if (status.stripesTotal > 0)
        bar.update(status.stripesDone, { total: status.stripesTotal, etaSeconds: status.etaSeconds });
      const runs = await client.stripes(volumeName);
      const whole = (run: StripeView): boolean =>
        run.state === "Healthy" && run.shards.every((shard) => !killed.includes(shard.nodeName));
      return runs.every(whole) ? true : undefined;
    }).finally(() => bar.stop({ remove: true }));
    const volume = await client.volume(volumeName);
    return {
      ok: volume.runs.healthy === volume.runs.total,
      text: `${countText(volume.runs.total, "run")} Healthy again; ${sizeText(moved)} read and written`,
      figures: { runs: volume.runs, bytesMoved: moved, stripesRebuilt: stripes },
    };
  });
}

/** Checks every run's placement. */
export async function placementStep(stage: Stage): Promise<void> {
  await stage.story.step("placement", "check where every shard is", async () => {
    const stripes = await stage.client.stripes(volumeName);
    const faults = placementFaults(stripes);
    const most = Math.max(0, ...stripes.map(mostOnOneNode));
    const nodes = new Set(stripes.flatMap((stripe) => stripe.shards.map((shard) => shard.nodeName)));
    return {
      ok: faults.length === 0 && stripes.length > 0,
      text:
        faults.length === 0
          ? `${countText(stripes.length, "run")} on ${nodes.size} nodes: one shard a pool, at most ${most} of a stripe on a node (allowed: ${allowedOnNode(stripes)})`
          : faults.slice(0, 5).join("; "),
      figures: { runs: stripes.length, nodes: [...nodes].sort(), mostOnOneNode: most, faults },
    };
  });
}

function allowedOnNode(stripes: readonly StripeView[]): number {
  return Math.min(...stripes.map((stripe) => lossesTolerated(stripe.code)));
}

/** Reads every chunk, encodes the parity again and compares. Changes nothing. */
export async function auditStep(stage: Stage, name: string, title: string): Promise<void> {
  const { story, output, client, clock, signal } = stage;
  await story.step(name, title, async () => {
    const bar = output.progress({ label: "audit", total: 0, unit: "stripes" });
    const report = await runScrub({
      client,
      clock,
      signal,
      volume: volumeName,
      deep: true,
      repair: false,
      onProgress: (r) => bar.update(r.stripesChecked, { total: r.stripesTotal, etaSeconds: r.etaSeconds }),
    }).finally(() => bar.stop({ remove: true }));
    const faults = auditFaults(report, await client.stripes(volumeName));
    return {
      ok: faults.length === 0,
      text:
        faults.length === 0
          ? `${report.stripesChecked} stripes: ${report.chunksChecked / 2} chunks verified where they are and read again (${sizeText(report.bytesRead)} in all), parity encoded again and equal`
          : faults.join("; "),
      figures: {
        stripes: report.stripesChecked,
        chunkReads: report.chunksChecked,
        bytesRead: report.bytesRead,
        findings: report.findings.length,
        faults,
      },
    };
  });
}

/** The scrub must find exactly the damaged chunk and put it again. */
export async function scrubStep(stage: Stage, damage: Damage): Promise<void> {
  const { story, output, client, clock, signal } = stage;
  await story.step("scrub", "scrub: find it and repair it", async () => {
    const bar = output.progress({ label: "scrub", total: 0, unit: "stripes" });
    const report = await runScrub({
      client,
      clock,
      signal,
      volume: volumeName,
      deep: false,
      repair: true,
      onProgress: (r) => bar.update(r.stripesChecked, { total: r.stripesTotal, etaSeconds: r.etaSeconds }),
    }).finally(() => bar.stop({ remove: true }));
    const [finding] = report.findings;
    const here = finding?.stripe === damage.stripe && finding.shardIndex === damage.shardIndex;
    const right = finding !== undefined && report.findings.length === 1 && (here || !damage.certain);
    const ok = report.state === "Done" && right && report.repaired === 1 && report.unrepaired === 0;
    return {
      ok,
      text:
        `${report.chunksChecked} chunks checked: ` +
        (right
          ? `stripe ${finding.stripe}, shard ${finding.shardIndex} on ${finding.nodeName} is ${finding.state}; ${report.repaired} repaired`
          : `expected one finding, got ${report.findings.length}${report.error === undefined ? "" : ` (${report.error})`}`),
      figures: {
        chunks: report.chunksChecked,
        findings: report.findings,
        repaired: report.repaired,
        unrepaired: report.unrepaired,
      },
    };
  });
}
