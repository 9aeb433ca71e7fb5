/** `couchestor volume recover` */
import type { RecoverReport } from "@couchestor/common/api/admin.ts";
import { type Command, type CommandContext, exitFailed, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { paintState } from "../output.ts";
import { countText, sizeText } from "../text.ts";

export const volumeRecover: Command = {
  path: ["volume", "recover"],
  summary: "Rebuild volumes and stripe maps from the disks alone, when the brain's database is lost",
  description:
    "Reads what every pool holds and takes, for each stripe, the newest encoding of which enough intact shards are there. Let all agents come " +
    "online first: what is away can't be counted. Start with --dry-run. Needs a brain without volumes.",
  arguments: [],
  options: {
    "dry-run": { kind: "flag", help: "Report what would be recovered, and write nothing" },
    "no-verify": {
      kind: "flag",
      help: "Trust headers instead of reading every chunk; faster, and may count damaged shards",
    },
    ...brainOptions,
  },
  examples: [
    { command: "couchestor volume recover --dry-run --data-dir ./data", text: "what is on the disks" },
    { command: "couchestor volume recover --data-dir ./data", text: "write it to the brain's database" },
  ],
  async run(context, args) {
    const { output } = context;
    const client = await connectBrain(context, args);
    const bar = output.progress({ label: "recover", total: 0, unit: "runs" });
    let report = await client.startRecover({ verify: !args.flag("no-verify"), dryRun: args.flag("dry-run") });
    while (report.state === "Running") {
      bar.update(report.poolsRead, { total: report.poolsTotal });
      await context.host.clock.sleep(200, context.signal);
      report = await client.recover();
    }
    bar.stop({ remove: true });
    output.result(report, () => show(output, report));
    const lost = report.volumes.some((volume) => volume.lostStripes.length > 0);
    return report.state === "Failed" || lost ? exitFailed : exitOk;
  },
};

function show(output: CommandContext["output"], report: RecoverReport): void {
  output.line(
    `${report.dryRun ? "dry run, nothing written: " : ""}${countText(report.poolsRead, "pool")} of ${report.poolsTotal} read, ${countText(report.chunksRead, "chunk")}`,
  );
  if (report.error !== undefined) output.line(output.paint(report.error, "bad"));
  if (report.volumes.length > 0) {
    output.table(
      ["volume", "size", "runs", "stripes", "degraded", "lost", "versions left aside", "state"],
      report.volumes.map((v) => [
        v.name,
        sizeText(v.sizeBytes),
        `${v.runs}`,
        `${v.stripes}`,
        `${v.degradedStripes}`,
        `${v.lostStripes.length}`,
        `${v.ignoredVersions}`,
        paintState(output, v.lostStripes.length > 0 ? "Unrecoverable" : v.degradedStripes > 0 ? "Degraded" : "Healthy"),
      ]),
      { right: [1, 2, 3, 4, 5, 6] },
    );
  } else if (report.state === "Done") output.line("no chunk of any volume was found");
  for (const volume of report.volumes) for (const note of volume.notes) output.line(`${volume.name}: ${note}`);
}
