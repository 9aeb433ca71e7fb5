/** `couchestor repair status`, `pause` and `resume` */
import type { EvacuationStatus, RepairStatus } from "@couchestor/common/api/admin.ts";
import { type Command, type CommandContext, exitFailed, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { secondsText } from "../progress.ts";
import { countText, shareText, sizeText } from "../text.ts";

const blockedShownMax = 10;

export const repairStatus: Command = {
  path: ["repair", "status"],
  summary: "Show what is being rebuilt, how fast, and until when",
  description:
    "With --wait it also waits for pools that are away to be given up, which takes the brain's --repair-after. Exit code 1 if it could not wait for all: rebuilds are paused or blocked, or too many devices are failing.",
  arguments: [],
  options: {
    wait: {
      kind: "flag",
      help: "Wait until nothing is left to rebuild or to move off failing devices, with a progress bar",
    },
    ...brainOptions,
  },
  examples: [{ command: "couchestor repair status --wait --data-dir ./data", text: "watch a rebuild" }],
  async run(context, args) {
    const { output } = context;
    const client = await connectBrain(context, args);
    let status = await client.repair();
    if (args.flag("wait")) {
      const bar = output.progress({ label: "repair", total: 0, unit: "stripes" });
      while (isOpen(status) && !status.paused) {
        bar.update(status.stripesDone, { total: status.stripesTotal, etaSeconds: status.etaSeconds });
        await context.host.clock.sleep(250, context.signal);
        status = await client.repair();
      }
      bar.stop({ remove: true });
    }
    output.result(status, () => show(output, status));
    return args.flag("wait") && isLeft(status) ? exitFailed : exitOk;
  },
};

export const repairPause: Command = {
  path: ["repair", "pause"],
  summary: "Begin no more rebuilds; those under way end",
  arguments: [],
  options: brainOptions,
  examples: [{ command: "couchestor repair pause --data-dir ./data", text: "before planned work on many nodes" }],
  run: (context, args) => setPaused(context, args, true),
};

export const repairResume: Command = {
  path: ["repair", "resume"],
  summary: "Rebuild again",
  arguments: [],
  options: brainOptions,
  examples: [{ command: "couchestor repair resume --data-dir ./data", text: "after it" }],
  run: (context, args) => setPaused(context, args, false),
};

async function setPaused(
  context: CommandContext,
  args: Parameters<Command["run"]>[1],
  paused: boolean,
): Promise<number> {
  const client = await connectBrain(context, args);
  await (paused ? client.pauseRepair() : client.resumeRepair());
  const status = await client.repair();
  context.output.result(status, () => context.output.line(status.paused ? "repair is paused" : "repair goes on"));
  return exitOk;
}

function show(output: CommandContext["output"], status: RepairStatus): void {
  const idle = status.queued === 0 && status.running === 0;
  const nothing = status.waiting.length > 0 ? "nothing to rebuild yet" : "nothing to rebuild";
  const state = status.paused ? output.paint("paused", "warn") : idle ? nothing : "rebuilding";
  output.line(
    `repair   ${state}; ${countText(status.queued, "run")} queued, ${status.running} under way, ${blockedOf(status)} blocked`,
  );
  if (status.stripesTotal > 0) {
    const eta = status.etaSeconds === undefined || idle ? "" : `, ETA ${secondsText(status.etaSeconds)}`;
    output.line(
      `wave     ${status.stripesDone} of ${status.stripesTotal} stripes (${shareText(status.stripesDone, status.stripesTotal)}), ` +
        `${sizeText(status.bytesMoved)} moved, ${sizeText(Math.round(status.bytesPerSecond))}/s${eta}`,
    );
  }
  const spare = Object.entries(status.spare).sort(([a], [b]) => Number(a) - Number(b));
  if (spare.length > 0) {
    output.table(
      ["further losses that can be borne", "runs"],
      spare.map(([losses, runs]) => [Number(losses) < 0 ? "too much is lost" : losses, `${runs}`]),
      { right: [1] },
    );
  }
  showEvacuation(output, status.evacuation);
  for (const { nodeName, poolName, repairInSeconds } of status.waiting) {
    const what = poolName === undefined ? `${nodeName} is away` : `${nodeName} no longer reports pool ${poolName}`;
    output.line(`${what}; its shards are rebuilt elsewhere in ${secondsText(repairInSeconds)} unless it returns`);
  }
  showBlocked(output, status);
}

/** All of them; a brain of an earlier version tells of the first alone. */
function blockedOf({ blocked, blockedTotal }: Pick<RepairStatus, "blocked" | "blockedTotal">): number {
  return blockedTotal ?? blocked.length;
}

function showBlocked(output: CommandContext["output"], status: Pick<RepairStatus, "blocked" | "blockedTotal">): void {
  for (const { stripe, reason } of status.blocked.slice(0, blockedShownMax))
    output.line(output.paint(`${stripe}: ${reason}`, "warn"));
  const more = blockedOf(status) - blockedShownMax;
  if (more > 0) output.line(`and ${more} more; --json tells of the first ${status.blocked.length}`);
}

/** Whether something is left to do that can be done. */
function isOpen({ queued, running, waiting, evacuation }: RepairStatus): boolean {
  return queued + running + waiting.length + evacuation.running + (evacuation.heldBack ? 0 : evacuation.queued) > 0;
}

/** Whether shards are missing or on failing devices, be it that nothing can be done for them now. */
function isLeft(status: RepairStatus): boolean {
  const { evacuation } = status;
  return isOpen(status) || blockedOf(status) + evacuation.queued + blockedOf(evacuation) > 0;
}

/** Pools on failing devices; nothing if there are none. */
function showEvacuation(output: CommandContext["output"], evacuation: EvacuationStatus): void {
  const { pools, heldBack, queued, running } = evacuation;
  if (pools.length === 0) return;
  output.line(
    `failing devices   ${countText(queued, "run")} to move off them, ${running} under way, ${blockedOf(evacuation)} blocked`,
  );
  output.table(
    ["node", "pool", "device", "state", "runs left", "why"],
    pools.map((p) => [p.nodeName, p.poolName, p.deviceId, p.phase, `${p.runsLeft}`, p.reasons.join(", ")]),
    { right: [4] },
  );
  if (heldBack !== undefined) output.line(output.paint(heldBack, "warn"));
  showBlocked(output, evacuation);
}
