/** `couchestor version` */
import { commit, compiled, version } from "@couchestor/common/runtime/version.ts";
import { type Command, exitOk } from "../command.ts";

export const versionCommand: Command = {
  path: ["version"],
  summary: "Print the version, the runtime, and which codec is in use",
  arguments: [],
  options: {},
  examples: [{ command: "couchestor version --json", text: "for scripts" }],
  async run(context) {
    const { output, host } = context;
    const codec = await host.codec();
    const answer = {
      version,
      commit,
      compiled,
      bun: Bun.version,
      platform: `${process.platform}-${process.arch}`,
      codec: codec.description,
      checksum: codec.checksum,
      notes: codec.notes,
    };
    output.result(answer, () => {
      output.line(`couchestor ${version} (${commit === "source" ? "from source" : commit})`);
      output.line(`bun        ${answer.bun}, ${answer.platform}${compiled ? ", one binary" : ""}`);
      output.line(`codec      ${codec.description}; checksum ${codec.checksum}`);
      for (const note of codec.notes) output.line(`           ${note}`);
    });
    return exitOk;
  },
};
