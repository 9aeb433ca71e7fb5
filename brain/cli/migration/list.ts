/** `couchestor migration list` */
import { migrationsAnswerSchema } from "@couchestor/common/api/migrations.ts";
import { createClient } from "@couchestor/common/http/client.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { ofKubernetes } from "../of-kubernetes.ts";
import { progressText, stateText, tookText } from "./rows.ts";

const answerBytesMax = 64 * 1024 * 1024;

export const migrationList: Command = {
  path: ["migration", "list"],
  summary: "Show migrations between tiers: those under way with their progress, then what became of the others",
  description: "What would be moved and isn't yet, and why, is shown by: couchestor plan",
  arguments: [],
  options: {
    policy: { kind: "text", value: "NAME", help: "Only those that this StoragePolicy decided" },
    volume: { kind: "text", value: "NAME", help: "Only those of this volume: its PersistentVolume or its uuid" },
    active: { kind: "flag", help: "Only those under way" },
    limit: { kind: "count", value: "N", help: "At most so many", defaultText: "1000" },
    ...brainOptions,
  },
  examples: [
    { command: "couchestor migration list --active", text: "what is being moved now" },
    { command: "couchestor migration list --policy tiers --json", text: "all of one policy, with everything known" },
  ],
  async run(context, args) {
    const { output, host } = context;
    const { url, tls } = await connectBrain(context, args);
    const client = createClient({ peer: "brain", baseUrl: url, tls });
    const query = {
      policy: args.text("policy"),
      volume: args.text("volume"),
      active: String(args.flag("active")),
      limit: args.number("limit"),
    };
    const options = { query, answerBytesMax, signal: context.signal };
    const answer = await ofKubernetes(client.json("GET", "/v1/migrations", migrationsAnswerSchema, options));
    const nowMs = host.clock.wallMs();
    output.result(answer, () => {
      if (answer.migrations.length === 0) return output.line("no migrations");
      output.table(
        ["migration", "volume", "policy", "from", "to", "state", "progress", "took", "what"],
        answer.migrations.map((row) => [
          row.name,
          row.volume,
          row.policy ?? "-",
          row.fromTier,
          row.toTier,
          stateText(output, row),
          progressText(row, nowMs),
          tookText(row, nowMs),
          row.reason === undefined ? row.message : `${row.reason}: ${row.message}`,
        ]),
      );
    });
    for (const problem of answer.unreadable ?? []) output.note(`can't be read: ${problem}`);
    const { length } = answer.migrations;
    if (length < answer.total) output.note(`${length} of ${answer.total} migrations are listed; --limit lists more`);
    return exitOk;
  },
};
