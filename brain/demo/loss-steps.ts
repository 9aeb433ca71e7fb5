/** The last steps of the demo: more is lost than the code bears, and everything says so. */
import { type AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { describeLosses, lossesOf } from "../cli/stripe/losses.ts";
import { exportVolume } from "../cli/transfer/export-volume.ts";
import { Comparison } from "./checks.ts";
import { type Stage, volumeName, waitUntil } from "./stage.ts";

const noticeTimeoutMs = 30_000;

/** Kills the two nodes that hold the most. */
export async function killFullestStep(stage: Stage): Promise<void> {
  await stage.story.step("kill two more", "kill the two fullest of the four nodes left", async () => {
    const nodes = (await stage.client.nodes()).filter((node) => node.state === "Online");
    const fullest = nodes
      .map((node) => ({ name: node.nodeName, liveBytes: node.pools.reduce((sum, pool) => sum + pool.liveBytes, 0) }))
      .sort((a, b) => b.liveBytes - a.liveBytes || a.name.localeCompare(b.name))
      .slice(0, 2)
      .map((node) => node.name);
    const victims = stage.cluster.agents.filter((agent) => fullest.includes(agent.name));
    await Promise.all(victims.map((agent) => agent.kill()));
    return {
      ok: victims.length === 2,
      text: `${victims.map((agent) => agent.name).join(" and ")} are dead; two nodes of six are left`,
      figures: { killed: victims.map((agent) => agent.name) },
    };
  });
}

/** Reading must end in an error that names stripes and pools, and what was read before it must be right. */
export async function refusedReadStep(stage: Stage): Promise<void> {
  const { story, client, clock, signal } = stage;
  await story.step("refused read", "read: an error that says what is lost, and no invented data", async () => {
    const comparison = new Comparison(stage.file.path);
    const refusal = await exportVolume({
      client,
      clock,
      signal,
      name: volumeName,
      sink: (bytes, offset) => comparison.take(bytes, offset),
    })
      .then(
        () => undefined,
        (error: unknown) => error,
      )
      .finally(() => comparison.close());
    if (refusal === undefined) return { ok: false, text: "the read succeeded, which can't be" };
    if (!isAppError(refusal, "Unrecoverable")) throw refusal;
    const stripes = await waitUntil(stage, "that the brain notices", noticeTimeoutMs, async () => {
      const views = await client.stripes(volumeName);
      return settled(views, await client.nodes()) ? views : undefined;
    });
    const told: AppError = describeLosses(refusal, volumeName, stripes);
    const losses = lossesOf(volumeName, stripes);
    return {
      ok: losses.unrecoverable.length > 0 && losses.pools.length > 0 && comparison.firstDifference < 0,
      text: losses.text,
      details: [`the agent that was asked: ${refusal.message}`],
      figures: {
        error: { code: told.code, message: told.message, data: told.data },
        wrongBytes: comparison.firstDifference >= 0,
      },
    };
  });
}

/** Only two nodes are Online, and the states were made with that knowledge. */
function settled(
  views: readonly { state: string; shards: readonly { online: boolean; nodeName: string }[] }[],
  nodes: readonly { nodeName: string; state: string }[],
): boolean {
  const online = new Set(nodes.filter((node) => node.state === "Online").map((node) => node.nodeName));
  return (
    online.size === 2 &&
    views.every((view) => {
      const left = view.shards.filter((shard) => online.has(shard.nodeName)).length;
      return view.state === (left < 4 ? "Unrecoverable" : left < 6 ? "Degraded" : "Healthy");
    })
  );
}

/** `stripe list` and `volume describe` must say it too. */
export async function listedStep(stage: Stage): Promise<void> {
  await stage.story.step("listed", "`volume describe` and `stripe list` say so too", async () => {
    const volume = await stage.client.volume(volumeName);
    const lost = (await stage.client.stripes(volumeName)).filter((stripe) => stripe.state === "Unrecoverable");
    return {
      ok: volume.health === "Unrecoverable" && lost.length === volume.runs.unrecoverable && lost.length > 0,
      text: `volume ${volume.health}; ${lost.length} of ${volume.runs.total} runs Unrecoverable, ${volume.runs.degraded} Degraded`,
      figures: { health: volume.health, runs: volume.runs, unrecoverable: lost.map((stripe) => stripe.name) },
    };
  });
}
