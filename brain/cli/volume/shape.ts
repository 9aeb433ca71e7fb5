/** Options that say how a new volume is laid out, for `create` and `import`. */
import type { CreateVolume } from "@couchestor/common/api/admin.ts";
import { type Code, parseCode } from "@couchestor/common/code/code.ts";
import type { OptionSpec } from "../command-spec.ts";
import { type ParsedArguments, UsageError } from "../parsed-arguments.ts";

export const shapeOptions: Readonly<Record<string, OptionSpec>> = {
  code: { kind: "text", value: "CODE", help: "K+M, lrc(K,L,G) or replica(N)", defaultText: "4+2" },
  "stripe-size": {
    kind: "bytes",
    value: "SIZE",
    help: "Unit of encoding, a multiple of 4KiB up to 64MiB",
    defaultText: "1MiB",
  },
  "stripes-per-run": {
    kind: "count",
    value: "N",
    help: "Stripes that share one placement, 1 to 1024",
    defaultText: "chosen by the size",
  },
  "failure-domain": {
    kind: "text",
    value: "LABEL",
    help: "At most M shards of a stripe within one value of this node label",
    defaultText: "node",
  },
  "pool-label": { kind: "text-list", value: "KEY=VALUE", help: "Only pools that carry this label" },
};

export interface Shape {
  code: Code;
  stripeSizeBytes: number | undefined;
  stripesPerRun: number | undefined;
  placement: CreateVolume["placement"] | undefined;
}

/** The layout that the options ask for. Limits of sizes are the brain's to check. */
export function shapeOf(args: ParsedArguments): Shape {
  const failureDomain = args.text("failure-domain");
  const labels = args.list("pool-label").map(parseLabel);
  return {
    code: parseCode(args.text("code") ?? "4+2"),
    stripeSizeBytes: args.number("stripe-size"),
    stripesPerRun: args.number("stripes-per-run"),
    placement:
      failureDomain === undefined && labels.length === 0
        ? undefined
        : { failureDomain: failureDomain ?? "node", poolSelector: Object.fromEntries(labels) },
  };
}

function parseLabel(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError(`--pool-label: got "${text}", allowed is KEY=VALUE, for example tier=cold`);
  return [text.slice(0, at), text.slice(at + 1)];
}
