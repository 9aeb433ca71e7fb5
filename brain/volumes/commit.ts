/**
 * The commit of an act: one compare-and-swap on the run's object, repeated until its outcome is known. A commit whose outcome is unknown is neither
 * answered nor dropped: to delete its chunks could delete what the store has just committed.
 */
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import type { BrainContext } from "../ports.ts";
import type { Catalogue } from "./catalogue.ts";
import { alreadyCommitted, type Commit, committedSpec, refusal } from "./commit-rules.ts";

export type CommitOutcome =
  | {
      result: "committed";
      run: EcStripe /** The version that was replaced; undefined when it was committed before. */;
      before: EcStripe | undefined;
    }
  | { result: "refused"; reason: string };

const attemptsMax = 32;

/** Commits, or says why the act no longer counts. Throws a retryable error when the store can't tell the outcome. */
export async function commitRun(
  context: Pick<BrainContext, "clock" | "log">,
  catalogue: Catalogue,
  runName: string,
  commit: Commit,
): Promise<CommitOutcome> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const current = await read(catalogue, runName);
    if (!current) return { result: "refused", reason: "the run was removed" };
    if (alreadyCommitted(current.spec, commit.act)) return { result: "committed", run: current, before: undefined };
    const held = catalogue.whyHeld(current.spec.volumeUuid, runName);
    if (held !== undefined) throw heldError(runName, held);
    const reason = refusal(current.spec, commit);
    if (reason) return { result: "refused", reason };
    try {
      const spec = committedSpec(current.spec, commit, isoNow(context.clock));
      return { result: "committed", run: await catalogue.updateRun({ ...current, spec }), before: current };
    } catch (error) {
      if (isAppError(error, "NotFound")) continue;
      if (isAppError(error, "Conflict")) continue;
      if (isDefinite(error)) throw error;
      context.log.warn({ run: runName, error: String(error) }, "outcome of a commit is unknown; reading again");
      if (attempt >= 2) throw unknownOutcome(runName, error);
    }
  }
  throw unknownOutcome(runName, undefined);
}

async function read(catalogue: Catalogue, runName: string): Promise<EcStripe | undefined> {
  try {
    return await catalogue.freshRun(runName);
  } catch (error) {
    throw unknownOutcome(runName, error);
  }
}

/** Errors by which a store says that it did not and will not take the object. */
function isDefinite(error: unknown): boolean {
  return isAppError(error, "InvalidArgument") || isAppError(error, "TooLarge");
}

/** Counts the fences of a run, so that each one changes the object even where its epoch stays. */
export const fenceAnnotation = "storage.billyronks.io/fence";

/**
 * Raises the run's fence to `epoch`, so that no act of an older owner can commit any more; returns the run as fenced. `always`: writes the object even if
 * the fence stands there already. An update of this owner that is still on its way to the store was made on an older version of the object: it has landed
 * before the returned version, or it never will. `ofVolume`: a run of another volume is left alone, and undefined returned.
 */
export async function fenceRun(
  catalogue: Catalogue,
  runName: string,
  epoch: number,
  always = false,
  ofVolume?: string,
): Promise<EcStripe | undefined> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const current = await catalogue.freshRun(runName);
    if (ofVolume !== undefined && current?.spec.volumeUuid !== ofVolume) return undefined;
    if (!current || current.spec.fencedEpoch > epoch || (current.spec.fencedEpoch === epoch && !always)) return current;
    const annotations = { ...current.metadata.annotations, [fenceAnnotation]: nextFence(current) };
    const metadata = { ...current.metadata, annotations };
    try {
      return await catalogue.updateRun({ ...current, metadata, spec: { ...current.spec, fencedEpoch: epoch } });
    } catch (error) {
      if (!isAppError(error, "Conflict") && !isAppError(error, "NotFound")) throw error;
    }
  }
  throw unknownOutcome(runName, undefined);
}

/** Another value than the one that is there, whatever somebody wrote there. */
function nextFence({ metadata }: EcStripe): string {
  const count = Number(metadata.annotations?.[fenceAnnotation] ?? 0) + 1;
  return String(Number.isSafeInteger(count) ? count : 1);
}

/** A version made by hand says nothing of what was committed before it: to refuse the commit would be to delete its chunks. */
function heldError(runName: string, held: string): AppError {
  return new AppError(
    "Unavailable",
    `${runName}: ${held}, by hand; put it back, or accept it, and the act counts or not`,
    {
      retryable: true,
    },
  );
}

function unknownOutcome(runName: string, cause: unknown): AppError {
  return new AppError(
    "Unavailable",
    `${runName}: the store did not say whether the commit was made; report the act again`,
    {
      retryable: true,
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
