/** `couchestor migration describe` */
import { type MigrationAnswer, migrationAnswerSchema } from "@couchestor/common/api/migrations.ts";
import { createClient } from "@couchestor/common/http/client.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { ofKubernetes } from "../of-kubernetes.ts";
import type { Output } from "../output.ts";
import { progressText, stateText, tookText } from "./rows.ts";

export const migrationDescribe: Command = {
  path: ["migration", "describe"],
  summary: "Show one migration: why it was decided, each step with what was found, and what is set in Mayastor",
  arguments: [{ name: "NAME", help: "The Migration object", required: true }],
  options: { ...brainOptions },
  examples: [
    { command: "couchestor migration describe pvc-1f…-hot-0a1b2c3d4e", text: "how far it is, and what it waits for" },
  ],
  async run(context, args) {
    const { output, host } = context;
    const { url, tls } = await connectBrain(context, args);
    const client = createClient({ peer: "brain", baseUrl: url, tls });
    const path = `/v1/migrations/${encodeURIComponent(args.argument("NAME"))}`;
    const answer = await ofKubernetes(client.json("GET", path, migrationAnswerSchema, { signal: context.signal }));
    output.result(answer, () => describe(output, answer, host.clock.wallMs()));
    return exitOk;
  },
};

function describe(output: Output, { row, spec, status }: MigrationAnswer, nowMs: number): void {
  const by = spec.policyRef === undefined ? "a person" : `StoragePolicy ${spec.policyRef}`;
  const counts = `${spec.originalReplicaCount} before, ${spec.finalReplicaCount} afterwards`;
  const lines: [string, string][] = [
    ["migration", row.name],
    ["volume", `${spec.volumeName} (${spec.volumeUuid})`],
    ["from, to", `${spec.fromTier} to ${spec.toTier}${spec.preservationMode ? ", the old replicas stay" : ""}`],
    ["decided by", by],
    ["why", spec.reason],
    ["replicas", counts],
    ["state", stateText(output, row)],
    ["progress", progressText(row, nowMs)],
    ["took", `${tookText(row, nowMs)} of at most ${spec.timeout}`],
    [row.reason === undefined ? "does" : row.reason, row.message],
  ];
  if (spec.abort && row.phase !== "Finished") lines.push(["called off", "it is taking back what it has set"]);
  const width = Math.max(...lines.map(([name]) => name.length));
  for (const [name, text] of lines) output.line(`${name.padEnd(width)}  ${text}`);
  const held = status?.heldSteering ?? [];
  if (held.length > 0) {
    output.line();
    output.table(
      ["set in Mayastor", "on", "detail", "state"],
      held.map(({ kind, target, detail, state }) => [kind, target, detail, state]),
    );
  }
  const steps = status?.steps ?? [];
  if (steps.length === 0) return;
  output.line();
  output.table(
    ["#", "step", "state", "begun", "ended", "intent", "found"],
    steps.map(({ number, name, state, intendedAt, endedAt, intent, observed, error }) => [
      String(number),
      name,
      output.paint(state, state === "Failed" ? "bad" : state === "Done" ? "good" : "warn"),
      intendedAt,
      endedAt ?? "-",
      words(intent),
      error ?? words(observed ?? {}),
    ]),
    { right: [0] },
  );
}

function words(values: Readonly<Record<string, string>>): string {
  return (
    Object.entries(values)
      .map(([key, value]) => `${key}=${value}`)
      .join(" ") || "-"
  );
}
