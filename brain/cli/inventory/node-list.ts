/** `couchestor node list` */
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { paintState } from "../output.ts";
import { shareText, sizeText } from "../text.ts";

export const nodeList: Command = {
  path: ["node", "list"],
  summary: "List nodes: state, version, codec, space",
  arguments: [],
  options: brainOptions,
  examples: [{ command: "couchestor node list --data-dir ./data", text: "all nodes" }],
  async run(context, args) {
    const { output } = context;
    const nodes = await (await connectBrain(context, args)).nodes();
    output.result({ nodes }, () => {
      if (nodes.length === 0) return output.line("no agent has reported yet");
      output.table(
        ["node", "state", "since", "pools", "used", "capacity", "chunks", "codec", "version", "address"],
        nodes.map((node) => {
          const used = node.pools.reduce((sum, pool) => sum + pool.usedBytes, 0);
          const capacity = node.pools.reduce((sum, pool) => sum + pool.capacityBytes, 0);
          return [
            node.nodeName,
            paintState(output, node.state),
            node.since,
            `${node.pools.length}`,
            `${sizeText(used)} (${shareText(used, capacity)})`,
            sizeText(capacity),
            `${node.pools.reduce((sum, pool) => sum + pool.chunkCount, 0)}`,
            node.codec,
            node.version,
            node.clusterUrl,
          ];
        }),
        { right: [3, 4, 5, 6] },
      );
    });
    return exitOk;
  },
};
