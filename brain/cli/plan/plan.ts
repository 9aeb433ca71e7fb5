/** `couchestor plan` */
import { type PlanAnswer, type PlanEntryView, planAnswerSchema } from "@couchestor/common/api/plan.ts";
import { createClient } from "@couchestor/common/http/client.ts";
import { formatDuration } from "@couchestor/common/units/duration.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { ofKubernetes } from "../of-kubernetes.ts";
import type { Output, Tone } from "../output.ts";

const answerBytesMax = 256 * 1024 * 1024;

export const plan: Command = {
  path: ["plan"],
  summary: "Show which volumes are hot, warm or cold, what would move where, and why",
  description:
    "Shows what the brain decided when it last looked. Nothing is moved by asking. Volumes that move come first, then those that wait or can't be moved, then the rest.",
  arguments: [],
  options: {
    policy: { kind: "text", value: "NAME", help: "Only the volumes of this StoragePolicy" },
    volume: {
      kind: "text",
      value: "NAME",
      help: "Only this volume: its name, its uuid, or its claim as NAMESPACE/NAME",
    },
    moves: { kind: "flag", help: "Only volumes that move, wait or can't be moved" },
    limit: { kind: "count", value: "N", help: "At most so many volumes", defaultText: "10000" },
    ...brainOptions,
  },
  examples: [
    { command: "couchestor plan --brain https://127.0.0.1:7401", text: "all volumes" },
    { command: "couchestor plan --volume shop/orders --json", text: "one volume, with all that is known of it" },
  ],
  async run(context, args) {
    const { output } = context;
    const { url, tls } = await connectBrain(context, args);
    const client = createClient({ peer: "brain", baseUrl: url, tls });
    const limit = args.number("limit");
    const query = { policy: args.text("policy"), volume: args.text("volume"), limit };
    const options = { query, answerBytesMax, signal: context.signal };
    const answer = await ofKubernetes(client.json("GET", "/v1/plan", planAnswerSchema, options));
    const only = args.flag("moves");
    const entries = only ? answer.entries.filter(({ action }) => action !== "stay") : answer.entries;
    output.result({ ...answer, entries }, () => {
      policiesTable(output, answer);
      output.line();
      if (entries.length > 0) entriesTable(output, entries);
      else output.line(answer.entries.length === 0 ? "no volumes" : "all volumes stay where they are");
    });
    if (answer.entries.length < answer.total) {
      output.note(`${answer.entries.length} of ${answer.total} volumes are listed; --limit lists more`);
    }
    const ageMs = context.host.clock.wallMs() - Date.parse(answer.takenAt);
    if (ageMs > staleMs) output.note(`the plan is ${formatDuration(Math.round(ageMs / 1000) * 1000)} old`);
    for (const warning of answer.warnings) output.note(`warning: ${warning}`);
    return exitOk;
  },
};

/** The brain looks every half minute. */
const staleMs = 120_000;

function policiesTable(output: Output, { policies }: PlanAnswer): void {
  if (policies.length === 0) {
    output.line("no StoragePolicies");
    return;
  }
  output.table(
    ["policy", "state", "watched", "hot", "warm", "cold", "mixed", "unknown", "moving"],
    policies.map((policy) => [
      policy.name,
      policy.problems.length > 0
        ? output.paint("Error", "bad")
        : policy.enabled
          ? policy.dryRun
            ? "dry run"
            : "Active"
          : "Disabled",
      ...[
        policy.watched,
        policy.hot,
        policy.warm,
        policy.cold,
        policy.mixed,
        policy.unknown,
        policy.activeMigrations,
      ].map(String),
    ]),
    { right: [2, 3, 4, 5, 6, 7, 8] },
  );
}

function entriesTable(output: Output, entries: readonly PlanEntryView[]): void {
  output.table(
    ["volume", "claim", "tier", "iops", "target", "action", "where", "why"],
    entries.map((entry) => [
      entry.volume,
      entry.claim,
      output.paint(entry.tier, entry.tier === "unknown" || entry.tier === "mixed" ? "warn" : "strong"),
      entry.heat.known ? iopsText(entry.heat.iops) : output.paint("unknown", "warn"),
      entry.target ?? "-",
      output.paint(entry.dryRun && entry.action === "move" ? "would move" : entry.action, tones[entry.action]),
      entry.moves.map(({ fromPool, toPool }) => `${fromPool}→${toPool}`).join(" ") || "-",
      entry.message,
    ]),
    { right: [3] },
  );
}

const tones: Readonly<Record<PlanEntryView["action"], Tone>> = {
  move: "good",
  moving: "good",
  wait: "warn",
  refuse: "bad",
  stay: "dim",
};

function iopsText(iops: number): string {
  return iops < 10 ? iops.toFixed(1) : String(Math.round(iops));
}
