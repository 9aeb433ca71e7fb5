/** `couchestor pool list` */
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { paintState } from "../output.ts";
import { sizeText } from "../text.ts";

export const poolList: Command = {
  path: ["pool", "list"],
  summary: "List pools: state, space, chunks, labels",
  arguments: [],
  options: { node: { kind: "text", value: "NAME", help: "Only the pools of this node" }, ...brainOptions },
  examples: [{ command: "couchestor pool list --node node-1 --data-dir ./data", text: "the pools of one node" }],
  async run(context, args) {
    const { output } = context;
    const only = args.text("node");
    const nodes = await (await connectBrain(context, args)).nodes();
    const pools = nodes
      .filter((node) => only === undefined || node.nodeName === only)
      .flatMap((node) => node.pools.map((pool) => ({ nodeName: node.nodeName, nodeState: node.state, ...pool })));
    output.result({ pools }, () => {
      if (pools.length === 0) return output.line("no pools");
      output.table(
        ["node", "pool", "state", "kind", "used", "live", "free", "chunks", "labels"],
        pools.map((pool) => [
          pool.nodeName,
          pool.poolName,
          // What a node that is away last said of its pools is no longer known to hold.
          pool.nodeState === "Offline"
            ? paintState(output, "Offline")
            : paintState(output, pool.state) + (pool.reason === undefined ? "" : ` (${pool.reason})`),
          pool.kind,
          sizeText(pool.usedBytes),
          sizeText(pool.liveBytes),
          sizeText(pool.freeBytes),
          `${pool.chunkCount}`,
          Object.entries(pool.labels)
            .map(([key, value]) => `${key}=${value}`)
            .join(" "),
        ]),
        { right: [4, 5, 6, 7] },
      );
    });
    return exitOk;
  },
};
