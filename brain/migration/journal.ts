/** The journal of a Migration: its status, and how steps are begun and ended in it. Pure; each function returns another status. */
import {
  type HeldSteering,
  type MigrationOutcome,
  type MigrationSpec,
  type MigrationStatus,
  type MigrationStep,
  migrationStepsMax,
} from "@couchestor/common/crd/migration.ts";
import type { Steering } from "./movers/mover.ts";

export type StepName =
  | "Preflight"
  | "SteerPlacement"
  | "AddReplica"
  | "WaitForRebuild"
  | "SteerRemoval"
  | "RemoveReplica"
  | "ReleaseSteering"
  | "Verify";

export interface Journal {
  name: string;
  uid: string;
  generation: number | undefined;
  spec: MigrationSpec;
  status: MigrationStatus;
  /** Somebody deletes the object: it is called off. */
  deleting: boolean;
}

export const emptyStatus: MigrationStatus = { phase: "Pending", steps: [] };

/** Room kept in the list of steps; from then on ended ones are taken out, the oldest first. */
const stepsKept = migrationStepsMax - 64;
const textMax = 1024;

/** The step that is being done; undefined between two. */
export function openStep({ steps }: MigrationStatus): MigrationStep | undefined {
  const last = steps.at(-1);
  return last?.state === "Intended" ? last : undefined;
}

/** Whether it has done no more than look: nothing is set, nothing was changed, and nothing is to be taken back. */
export function isUntouched({ steps, heldSteering = [], stepsDropped = 0 }: MigrationStatus): boolean {
  return stepsDropped === 0 && heldSteering.length === 0 && steps.every(({ name }) => name === "Preflight");
}

/** The number that the next step will have. */
export function nextNumber({ steps, stepsDropped = 0 }: MigrationStatus): number {
  return (steps.at(-1)?.number ?? stepsDropped) + 1;
}

/** A step is intended from now on. */
export function begin(
  status: MigrationStatus,
  name: StepName,
  intent: Record<string, string>,
  now: string,
  attempts = 0,
): MigrationStatus {
  const step: MigrationStep = {
    number: nextNumber(status),
    name,
    state: "Intended",
    intent,
    attempts,
    intendedAt: now,
  };
  return compacted({ ...status, steps: [...status.steps, step] });
}

/** The open step was tried once more. */
export function tried(status: MigrationStatus): MigrationStatus {
  return change(status, (step) => ({ ...step, attempts: step.attempts + 1 }));
}

/** More is known of the open step. */
export function noted(status: MigrationStatus, observed: Record<string, string>): MigrationStatus {
  return change(status, (step) => ({ ...step, observed: { ...step.observed, ...observed } }));
}

/** The open step has ended. */
export function ended(
  status: MigrationStatus,
  state: "Done" | "Failed" | "Skipped",
  now: string,
  more: { observed?: Record<string, string>; error?: string } = {},
): MigrationStatus {
  return change(status, (step) => ({
    ...step,
    state,
    endedAt: now,
    ...(more.observed === undefined ? {} : { observed: { ...step.observed, ...more.observed } }),
    ...(more.error === undefined ? {} : { error: short(more.error) }),
  }));
}

/** A round has come to nothing. */
export function failed(status: MigrationStatus): MigrationStatus {
  return { ...status, failures: (status.failures ?? 0) + 1 };
}

/** It will end like this; what was decided first stays. */
export function ending(status: MigrationStatus, outcome: MigrationOutcome): MigrationStatus {
  if (status.ending !== undefined) return status;
  return { ...status, ending: { ...outcome, message: short(outcome.message) } };
}

export function held(status: MigrationStatus): readonly HeldSteering[] {
  return status.heldSteering ?? [];
}

/** Something is about to be set, or is. */
export function hold(status: MigrationStatus, item: Steering, state: HeldSteering["state"]): MigrationStatus {
  const others = held(status).filter((other) => !sameSteering(other, item));
  const { kind, target, detail } = item;
  return { ...status, heldSteering: [...others, { kind, target, detail, state }] };
}

/** It is set no more, or was never ours. */
export function letGo(status: MigrationStatus, item: Steering): MigrationStatus {
  return { ...status, heldSteering: held(status).filter((other) => !sameSteering(other, item)) };
}

export function sameSteering(a: Steering, b: Steering): boolean {
  return a.kind === b.kind && a.target === b.target && a.detail === b.detail;
}

/** Lists in texts of the journal. */
export function joined(texts: readonly string[]): string {
  return texts.join(",");
}

export function split(text: string | undefined): string[] {
  return text === undefined || text === "" ? [] : text.split(",");
}

/** Text that fits the journal. */
export function short(text: string): string {
  return text.length <= textMax ? text : `${text.slice(0, textMax - 1)}…`;
}

function change(status: MigrationStatus, of: (step: MigrationStep) => MigrationStep): MigrationStatus {
  const last = status.steps.at(-1);
  if (last?.state !== "Intended") return status;
  return { ...status, steps: [...status.steps.slice(0, -1), of(last)] };
}

/** What has ended long ago makes room. */
function compacted(status: MigrationStatus): MigrationStatus {
  const excess = status.steps.length - stepsKept;
  if (excess <= 0) return status;
  return { ...status, steps: status.steps.slice(excess), stepsDropped: (status.stepsDropped ?? 0) + excess };
}
