/** `couchestor scrub` */
import type { ScrubReport } from "@couchestor/common/api/admin.ts";
import { type Command, type CommandContext, exitFailed, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { countText, sizeText } from "../text.ts";
import { runScrub } from "./watch-scrub.ts";

const findingsShownMax = 20;

export const scrub: Command = {
  path: ["scrub"],
  summary: "Read and check every chunk where it is, and repair what is bad",
  description:
    "Each chunk's blocks are read from the medium and compared with their checksums. --deep is the audit: all shards of each stripe are read, " +
    "parity is computed again and compared. Runs that are held, because somebody changed them by hand, are left out and named, as are stripes that no run covers. " +
    "Exit code 1 if something bad is left or was left out.",
  arguments: [{ name: "VOLUME", help: "Only this volume", required: false, completes: "volumes" }],
  options: {
    deep: { kind: "flag", help: "Audit: also compute parity again and compare" },
    "no-repair": { kind: "flag", help: "Only report" },
    ...brainOptions,
  },
  examples: [
    { command: "couchestor scrub --data-dir ./data", text: "all volumes" },
    {
      command: "couchestor scrub photos --deep --no-repair --data-dir ./data",
      text: "audit one volume, change nothing",
    },
  ],
  async run(context, args) {
    const { output } = context;
    const client = await connectBrain(context, args);
    const bar = output.progress({ label: args.flag("deep") ? "audit" : "scrub", total: 0, unit: "stripes" });
    const report = await runScrub({
      client,
      clock: context.host.clock,
      signal: context.signal,
      volume: args.optionalArgument("VOLUME"),
      deep: args.flag("deep"),
      repair: !args.flag("no-repair"),
      onProgress: (r) => bar.update(r.stripesChecked, { total: r.stripesTotal, etaSeconds: r.etaSeconds }),
    }).finally(() => bar.stop({ remove: true }));
    output.result(report, () => show(output, report, args.flag("no-repair")));
    return report.state === "Done" && leftBad(report) === 0 ? exitOk : exitFailed;
  },
};

/** Findings that are still there. */
function leftBad(report: ScrubReport): number {
  return Math.max(report.unrepaired, report.findings.length - report.repaired);
}

function show(output: CommandContext["output"], report: ScrubReport, reportOnly: boolean): void {
  output.line(
    `${report.deep ? "audit" : "scrub"}: ${countText(report.stripesChecked, "stripe")} of ${report.stripesTotal}, ` +
      `${countText(report.chunksChecked, "chunk")}, ${sizeText(report.bytesRead)} read`,
  );
  if (report.error !== undefined) output.line(output.paint(report.error, "bad"));
  const { findings } = report;
  if (findings.length === 0 && report.state === "Done") output.line(output.paint("nothing bad found", "good"));
  if (findings.length > 0) {
    output.table(
      ["stripe", "shard", "node", "state"],
      findings.slice(0, findingsShownMax).map((f) => [`${f.stripe}`, `${f.shardIndex}`, f.nodeName, f.state]),
      { right: [0, 1] },
    );
    const more = findings.length - findingsShownMax;
    if (more > 0)
      output.line(
        `and ${more} more${report.findingsTruncated ? ", and some that the report has no room for" : ""}; see --json`,
      );
  }
  const left = leftBad(report);
  if (report.repaired > 0) output.line(output.paint(`${report.repaired} repaired`, "good"));
  if (left > 0)
    output.line(output.paint(`${left} left${reportOnly ? " (nothing was repaired, as asked)" : ""}`, "bad"));
}
