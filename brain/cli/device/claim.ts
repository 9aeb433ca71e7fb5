/** `couchestor device claim` */
import { hostname } from "node:os";
import type { ClaimAnswer, ClaimOrder } from "@couchestor/common/api/local-devices.ts";
import { nameSchema, zeroUuid } from "@couchestor/common/api/primitives.ts";
import { type Command, type CommandContext, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { type ParsedArguments, UsageError } from "../parsed-arguments.ts";
import { confirmId, confirmOptions } from "./confirm.ts";
import { deviceId, onDevices } from "./local.ts";

export const deviceClaim: Command = {
  path: ["device", "claim"],
  summary: "Make a pool of a disk, which erases it",
  description:
    "Writes the label of a new pool to the disk; from then on the node's agent can use it: couchestor agent --pool NAME=device:ID. A disk that is " +
    "mounted, swapped to, held by dm, md or LVM, or open in another process is never touched. One with partitions, a file system or any other data " +
    "is refused without --wipe. Claiming again what is claimed already changes nothing. Needs root.",
  arguments: [deviceId],
  options: {
    pool: { kind: "text", value: "NAME", help: "The pool's name", required: true },
    node: {
      kind: "text",
      value: "NAME",
      help: "The node whose agent may use it, as its --node-name says; 'any' for whichever comes first",
      defaultText: "this machine's name",
    },
    cluster: {
      kind: "text",
      value: "UUID",
      help: "The cluster that it is for; without, the one of the brain that the agent first speaks to",
    },
    wipe: { kind: "flag", help: "Erase what lies on the disk: partitions, file systems, any data" },
    move: {
      kind: "flag",
      help: "Take over a pool that was claimed for another node or under another name, with its chunks",
    },
    ...confirmOptions,
    ...brainOptions,
  },
  examples: [
    {
      command: "couchestor device claim wwn-0x5000c500a1b2c3d4 --pool slow --dry-run",
      text: "what would be written and lost",
    },
    {
      command: "couchestor device claim wwn-0x5000c500a1b2c3d4 --pool slow --wipe --yes",
      text: "an old disk, for scripts",
    },
  ],
  async run(context, args) {
    const { output, signal } = context;
    const order = await orderOf(context, args);
    const id = args.argument("ID");
    return await onDevices(context, async (devices) => {
      const plan = await devices.claim(id, order, { dryRun: true, signal });
      if (args.flag("dry-run") || plan.action === "none") {
        const dryRun = args.flag("dry-run");
        output.result({ dryRun, ...plan }, () => show(context, plan, dryRun ? "would" : undefined));
        return exitOk;
      }
      await confirmId(context, deviceClaim, args, { id: plan.device.id, text: lossText(plan) });
      const progress = output.progress({ label: "preparing", total: 0, unit: "segments" });
      const onProgress = (done: number, total: number) => progress.update(done, { total });
      const made = await devices
        .claim(id, order, { dryRun: false, signal, onProgress })
        .finally(() => progress.stop({ remove: true }));
      output.result({ dryRun: false, ...made }, () => show(context, made, undefined));
      return exitOk;
    });
  },
};

async function orderOf(context: CommandContext, args: ParsedArguments): Promise<ClaimOrder> {
  const node = args.text("node") ?? hostname().toLowerCase();
  if (!nameSchema.safeParse(node).success) {
    throw new UsageError(`--node: "${node}" is no name of a node: give the agent's --node-name, or any`, deviceClaim);
  }
  return {
    poolName: args.requiredText("pool"),
    nodeName: node === "any" ? "" : node,
    clusterUuid: args.text("cluster") ?? (await clusterOf(context, args)),
    wipe: args.flag("wipe"),
    move: args.flag("move"),
  };
}

/** The cluster of the brain that was named, if one was, by the pools that it knows. */
async function clusterOf(context: CommandContext, args: ParsedArguments): Promise<string | undefined> {
  if (args.text("brain") === undefined && args.text("data-dir") === undefined) return undefined;
  const nodes = await (await connectBrain(context, args)).nodes();
  const uuids = new Set(nodes.flatMap(({ pools }) => pools.map((pool) => pool.clusterUuid)));
  uuids.delete(zeroUuid);
  const [only] = uuids;
  if (uuids.size <= 1) return only;
  throw new UsageError(
    `the brain's pools carry several clusters: ${[...uuids].join(", ")}; give --cluster`,
    deviceClaim,
  );
}

function lossText({ device, label, erases, action }: ClaimAnswer): string {
  const name = `${device.id} (${device.path}${device.model === undefined ? "" : `, ${device.model}`})`;
  if (action === "relabel") return `this changes the label of ${name} to pool ${label.poolName}; its chunks stay`;
  const lost = erases.length === 0 ? "nothing known is on it" : `what is lost for good: ${erases.join("; ")}`;
  return `this makes pool ${label.poolName} of ${name}; ${lost}`;
}

function show({ output }: CommandContext, answer: ClaimAnswer, would: "would" | undefined): void {
  const { device, label, action, erases, steps } = answer;
  if (action === "none") {
    output.line(`${device.id} is pool ${label.poolName} already; nothing to do`);
  } else if (would !== undefined) {
    output.line(`would make ${device.id} (${device.path}) pool ${label.poolName}:`);
    for (const erased of erases) output.line(`  lost: ${erased}`);
    for (const step of steps) output.line(`  ${step}`);
    return;
  } else output.line(`${device.id} is pool ${label.poolName} (${label.poolUuid}) now`);
  const id = device.idStable ? device.id : `pool-${label.poolUuid}`;
  output.line(`its agent uses it with: couchestor agent … --pool ${label.poolName}=device:${id},tier=${device.tier}`);
}
