/** The new replica is followed, by its uuid and its pool, until everything is complete and has been for a while. */
import type { MigrationStep } from "@couchestor/common/crd/migration.ts";
import { stateOf } from "./copies.ts";
import { ended, ending, noted, openStep } from "./journal.ts";
import { type Decision, goOn, roundFailed, type Turn, waitFor, with_ } from "./turn.ts";

export function followReplica(turn: Turn): Decision {
  const { seen, settings, rules, status } = turn;
  const step = openStep(status) as MigrationStep;
  const over = (state: "Failed" | "Skipped", error: string): Turn =>
    with_(turn, ended(status, state, seen.now, { error }));
  if (status.ending !== undefined) return goOn(over("Skipped", status.ending.message));
  const settled = rules.settled(seen.settle, "shape", settings);
  const looking = waitFor(turn, "looks what became of the new replica");
  if (seen.seen === "absent") return settled ? goOn(over("Failed", "the volume is gone")) : looking;
  const volume = seen.seen;
  if (volume.count !== status.expectedReplicaCount)
    return settled ? goOn(over("Failed", `the volume is to have ${volume.count} replicas`)) : looking;
  const { replica: uuid = "", pool = "" } = step.intent;
  const replica = volume.replicas.find((found) => found.uuid === uuid);
  if (replica === undefined || (replica.pool !== undefined && replica.pool !== pool)) {
    if (!settled) return looking;
    const error = `the new replica ${uuid} on ${pool} is gone`;
    return goOn(roundFailed(over("Failed", error), "RebuildFailed", error));
  }
  const unsound = rules.unsoundness(volume, settings.allow.offlineRebuild);
  const unproven =
    seen.rebuildProven === false ? "the record of its rebuild doesn't say that it is complete" : undefined;
  const why = unsound ?? unproven;
  if (why !== undefined) {
    if (seen.unchangedMs >= settings.stallMs) return stalled(turn, why);
    const state = `fills replica ${uuid} on ${pool} (${stateOf(replica)}); ${why}`;
    const percent = replica.rebuildPercent;
    const told = percent === undefined ? status : noted(status, { percent: String(percent) });
    return waitFor(with_(turn, { ...told, phase: "Copying" }), state, settings.copyPollMs);
  }
  if (!rules.settled(seen.settle, "health", settings)) {
    const seconds = Math.round(settings.settleMs / 1000);
    return waitFor(turn, `the copy is complete; waits until reads were equal for ${seconds} s`);
  }
  return goOn(with_(turn, ended(status, "Done", seen.now, { observed: { percent: "100" } })));
}

function stalled(turn: Turn, why: string): Decision {
  const { seen, settings } = turn;
  const message = `nothing has changed for ${Math.round(settings.stallMs / 60_000)} min: ${why}`;
  const reason = seen.seen !== "absent" && seen.seen.publishedOn === undefined ? "NotPublished" : "RebuildStalled";
  const status = ended(turn.status, "Failed", seen.now, { error: message });
  return goOn(with_(turn, ending(status, { result: "Failed", reason, message })));
}
