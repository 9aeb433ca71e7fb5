/** `couchestor volume describe` */
import { formatCode } from "@couchestor/common/code/code.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { paintState } from "../output.ts";
import { lossesOf } from "../stripe/losses.ts";
import { sizeText } from "../text.ts";
import { volumeName } from "./arguments.ts";
import { unreadableNotes } from "./unreadable.ts";

export const volumeDescribe: Command = {
  path: ["volume", "describe"],
  summary: "Show one volume: layout, state, where its shards are, what is lost",
  arguments: [volumeName],
  options: brainOptions,
  examples: [{ command: "couchestor volume describe photos --data-dir ./data", text: "one volume" }],
  async run(context, args) {
    const { output } = context;
    const client = await connectBrain(context, args);
    const volume = await client.volume(args.argument("NAME"));
    const stripes = await client.stripes(volume.name);
    const losses = lossesOf(volume.name, stripes);
    const pools = shardsByPool(stripes);
    output.result(
      { volume, shardsByPool: pools, losses: losses.unrecoverable.length === 0 ? undefined : losses },
      () => {
        const { runs } = volume;
        for (const [key, value] of [
          ["name", volume.name],
          ["uuid", volume.volumeUuid],
          ["phase", paintState(output, volume.phase)],
          ["health", paintState(output, volume.health)],
          ["size", `${sizeText(volume.sizeBytes)} (${volume.sizeBytes} bytes)`],
          ["code", formatCode(volume.code)],
          ["stripe", `${sizeText(volume.stripeSizeBytes)}, ${volume.stripesPerRun} to a run`],
          [
            "runs",
            `${runs.total}: ${runs.healthy} healthy, ${runs.degraded} degraded, ${runs.unrecoverable} unrecoverable, ${runs.held} held, ${runs.total - runs.written - runs.absent} not written, ${runs.absent} gone`,
          ],
          ["epoch", `${volume.epoch}`],
          ["sha256", volume.contentSha256 ?? "not known"],
          ["created", volume.createdAt],
        ] as const) {
          output.line(`${key.padEnd(8)} ${value}`);
        }
        if (pools.length > 0) {
          output.line();
          output.table(
            ["node", "pool", "shard columns", "node is"],
            pools.map((p) => [
              p.nodeName,
              p.poolName,
              `${p.shards}`,
              paintState(output, p.online ? "Online" : "Offline"),
            ]),
            { right: [2] },
          );
        }
        for (const text of [losses.text, ...unreadableNotes(volume)]) {
          if (text !== "") output.line(`\n${output.paint(text, "bad")}`);
        }
      },
    );
    return exitOk;
  },
};

interface PoolShare {
  nodeName: string;
  poolName: string;
  online: boolean;
  shards: number;
}

function shardsByPool(
  stripes: readonly { shards: readonly { nodeName: string; poolName: string; online: boolean }[] }[],
): PoolShare[] {
  const pools = new Map<string, PoolShare>();
  for (const { nodeName, poolName, online } of stripes.flatMap((stripe) => stripe.shards)) {
    const key = `${nodeName}/${poolName}`;
    const entry = pools.get(key) ?? { nodeName, poolName, online, shards: 0 };
    entry.shards++;
    pools.set(key, entry);
  }
  return [...pools.values()].sort((a, b) => `${a.nodeName}/${a.poolName}`.localeCompare(`${b.nodeName}/${b.poolName}`));
}
