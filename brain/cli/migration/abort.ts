/** `couchestor migration abort` */
import { migrationAnswerSchema } from "@couchestor/common/api/migrations.ts";
import { createClient } from "@couchestor/common/http/client.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { ofKubernetes } from "../of-kubernetes.ts";

export const migrationAbort: Command = {
  path: ["migration", "abort"],
  summary: "Call a migration off",
  description:
    "What it has set in Mayastor is taken back, a replica that is still being filled is removed again, and the volume keeps at least the copies it had. That takes a minute or two; a replica that is just leaving is seen off first. It can't be taken up again, but its policy may decide anew later: switch that off with dryRun or enabled: false.",
  arguments: [{ name: "NAME", help: "The Migration object", required: true }],
  options: { "dry-run": { kind: "flag", help: "Only say what would happen" }, ...brainOptions },
  examples: [
    { command: "couchestor migration abort pvc-1f…-hot-0a1b2c3d4e --dry-run", text: "see what would be taken back" },
  ],
  async run(context, args) {
    const { output } = context;
    const { url, tls } = await connectBrain(context, args);
    const client = createClient({ peer: "brain", baseUrl: url, tls });
    const name = args.argument("NAME");
    const dryRun = args.flag("dry-run");
    const path = `/v1/migrations/${encodeURIComponent(name)}/abort`;
    const options = { body: { dryRun }, signal: context.signal };
    const answer = await ofKubernetes(client.json("POST", path, migrationAnswerSchema, options));
    const held = answer.status?.heldSteering?.length ?? 0;
    const undone =
      held === 0 ? "nothing is set in Mayastor at the moment" : `${held} cordon(s) or label(s) are taken back`;
    output.result({ ...answer, dryRun }, () => {
      output.line(
        dryRun
          ? `would call off ${name}, which is ${answer.row.phase}; ${undone}`
          : `${name} is being called off; ${undone}. Its end: couchestor migration describe ${name}`,
      );
    });
    return exitOk;
  },
};
