/** `couchestor stripe list` */
import type { StripeView } from "@couchestor/common/api/admin.ts";
import { formatCode } from "@couchestor/common/code/code.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { type Output, paintState } from "../output.ts";
import { UsageError } from "../parsed-arguments.ts";
import { unreadableNotes } from "../volume/unreadable.ts";

const states = ["Unwritten", "Healthy", "Degraded", "Held", "Unrecoverable"] as const;
const heldShownMax = 8;

export const stripeList: Command = {
  path: ["stripe", "list"],
  summary: "List runs of stripes: state, and which shards are missing where",
  arguments: [{ name: "VOLUME", help: "Only this volume", required: false, completes: "volumes" }],
  options: {
    state: { kind: "text", value: "STATE", help: "Only runs in this state", choices: states },
    "not-healthy": { kind: "flag", help: "Only runs that are Degraded, Held or Unrecoverable" },
    ...brainOptions,
  },
  examples: [
    { command: "couchestor stripe list photos --data-dir ./data", text: "the runs of one volume" },
    {
      command: "couchestor stripe list --state Unrecoverable --json --data-dir ./data",
      text: "what is lost, for scripts",
    },
  ],
  async run(context, args) {
    const { output } = context;
    const state = args.text("state");
    if (state !== undefined && args.flag("not-healthy")) {
      throw new UsageError("--state and --not-healthy exclude each other", stripeList);
    }
    const client = await connectBrain(context, args);
    const only = args.optionalArgument("VOLUME");
    const volumes = only === undefined ? await client.volumes() : [await client.volume(only)];
    const all: StripeView[] = [];
    for (const volume of volumes) all.push(...(await client.stripes(volume.name)));
    const stripes = all.filter((stripe) =>
      args.flag("not-healthy")
        ? stripe.state !== "Healthy" && stripe.state !== "Unwritten"
        : state === undefined || stripe.state === state,
    );
    output.result({ stripes }, () => {
      if (stripes.length === 0) output.line(all.length === 0 ? "no stripes" : "none of them");
      else showTable(output, stripes);
      const gone = volumes.flatMap((volume) => unreadableNotes({ ...volume, runs: { ...volume.runs, held: 0 } }));
      for (const note of [...heldNotes(stripes), ...gone]) output.line(output.paint(note, "bad"));
    });
    return exitOk;
  },
};

function showTable(output: Output, stripes: readonly StripeView[]): void {
  output.table(
    ["run", "stripes", "state", "code", "gen", "placement", "missing"],
    stripes.map((stripe) => [
      stripe.name,
      `${stripe.firstStripe}–${stripe.firstStripe + stripe.stripeCount - 1}`,
      paintState(output, stripe.state),
      formatCode(stripe.code),
      `${stripe.generation}`,
      `v${stripe.placementVersion}`,
      missingText(stripe),
    ]),
    { right: [1, 4] },
  );
}

/** Why runs are held, and what to do. */
function heldNotes(stripes: readonly StripeView[]): string[] {
  const held = stripes.flatMap((stripe) =>
    stripe.held === undefined ? [] : [`${stripe.name} is held: ${stripe.held}`],
  );
  const more = held.length - heldShownMax;
  return more > 0 ? [...held.slice(0, heldShownMax), `and ${more} more are held; see --json`] : held;
}

/** `#1 node-2/a, #4 node-5/b` */
export function missingText(stripe: StripeView): string {
  const text = stripe.missing.map((m) => `#${m.shardIndex} ${m.nodeName}/${m.poolName}`).join(", ");
  const single = stripe.exceptions > 0 ? `${stripe.exceptions} single chunks elsewhere` : "";
  return [text, single].filter((part) => part !== "").join("; ") || "-";
}
