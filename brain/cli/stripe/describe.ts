/** `couchestor stripe describe` */
import type { StripeView } from "@couchestor/common/api/admin.ts";
import { dataShards, formatCode } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type Command, type CommandContext, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { paintState } from "../output.ts";

export const stripeDescribe: Command = {
  path: ["stripe", "describe"],
  summary: "Show one run of stripes: each shard, where it is, and whether it can be reached",
  arguments: [
    { name: "RUN", help: "Name of the run, as `stripe list` shows it", required: true, completes: "stripes" },
  ],
  options: brainOptions,
  examples: [{ command: "couchestor stripe describe photos-0000000016 --data-dir ./data", text: "stripes from 16 on" }],
  async run(context, args) {
    const { output } = context;
    const client = await connectBrain(context, args);
    const name = args.argument("RUN");
    const resource = await client.stripe(name);
    const stripe = (await client.stripes(resource.spec.volumeRef)).find((view) => view.name === name);
    if (stripe === undefined) throw new AppError("NotFound", `run ${name} is gone`);
    output.result({ ...stripe, resource }, () => show(output, stripe));
    return exitOk;
  },
};

function show(output: CommandContext["output"], stripe: StripeView): void {
  const left = stripe.shards.length - stripe.missing.length;
  for (const [key, value] of [
    ["run", stripe.name],
    ["volume", stripe.volume],
    ["stripes", `${stripe.firstStripe}–${stripe.firstStripe + stripe.stripeCount - 1} (${stripe.stripeCount})`],
    ["state", paintState(output, stripe.state)],
    ["code", `${formatCode(stripe.code)}: needs ${dataShards(stripe.code)} shards, ${left} can be reached`],
    ["version", `generation ${stripe.generation}, placement ${stripe.placementVersion}`],
    ["apart", `${stripe.exceptions} single chunks repaired elsewhere`],
  ] as const) {
    output.line(`${key.padEnd(8)} ${value}`);
  }
  if (stripe.held !== undefined) output.line(output.paint(`${stripe.name} is held: ${stripe.held}`, "bad"));
  if (stripe.shards.length === 0) return;
  const why = new Map(stripe.missing.map((missing) => [missing.shardIndex, missing.why]));
  output.line();
  output.table(
    ["shard", "holds", "node", "pool", "state"],
    stripe.shards.map((shard) => [
      `${shard.shardIndex}`,
      shard.shardIndex < dataShards(stripe.code) ? "data" : "parity",
      shard.nodeName,
      shard.poolName,
      why.has(shard.shardIndex)
        ? output.paint(`missing: ${why.get(shard.shardIndex)}`, "bad")
        : paintState(output, shard.online ? "Online" : "Offline"),
    ]),
    { right: [0] },
  );
}
