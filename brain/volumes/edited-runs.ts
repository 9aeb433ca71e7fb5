/**
 * Runs that somebody changed by hand, told in their status: it is what a brain that starts later holds them by, since it hasn't seen the
 * version before. A few at a time; one that can't be written is tried again.
 */
import type { EcStripe, EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";
import { readableStatus } from "@couchestor/common/crd/stripe-status.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import { withConditions } from "../runtime/conditions.ts";
import { acceptAnnotation, heldBefore, trustedCondition } from "./foreign-edits.ts";
import type { Services } from "./services.ts";

const writesAtOnce = 16;
const everyMs = 1_000;

/** Throws `FailedPrecondition` if the run was changed by hand: nothing is to be made of such a version. */
export function requireUnheld({ catalogue }: Pick<Services, "catalogue">, run: EcStripe): void {
  const { name } = run.metadata;
  const why = heldText({ catalogue }, run.spec.volumeUuid, name, run.metadata.generation);
  if (why === undefined) return;
  throw new AppError("FailedPrecondition", `${name} is held: ${why}`, { data: { run: name, why } });
}

/** Why a run is held and what to do, for a person; undefined if it isn't. `generation`: its object's, if known. */
export function heldText(
  { catalogue }: Pick<Services, "catalogue">,
  volumeUuid: string,
  name: string,
  generation?: number,
): string | undefined {
  const why = catalogue.runs.whyHeld(volumeUuid, name);
  if (why !== undefined) return advice({ metadata: { name, generation } }, why);
  const ofVolume = catalogue.whyHeld(volumeUuid, name);
  if (ofVolume === undefined) return undefined;
  return `${ofVolume}, by hand: nothing of the volume is read or written until its ECVolume is put back to what it was`;
}

export class EditedRuns {
  readonly #services: Services;
  #dueMs = 0;
  #running: Promise<void> | undefined;

  constructor(services: Services) {
    this.#services = services;
  }

  /** Tells what is yet to be told. Call it often. */
  tick(): void {
    const { catalogue, context } = this.#services;
    if (catalogue.runs.unsaid.size === 0 || this.#running || context.clock.monotonicMs() < this.#dueMs) return;
    this.#dueMs = context.clock.monotonicMs() + everyMs;
    const some = [...catalogue.runs.unsaid].slice(0, writesAtOnce);
    this.#running = Promise.all(some.map((name) => this.#tell(name)))
      .then(() => undefined)
      .finally(() => {
        this.#running = undefined;
      });
  }

  async settle(): Promise<void> {
    await this.#running;
  }

  async #tell(name: string): Promise<void> {
    const { catalogue, context } = this.#services;
    try {
      await catalogue.swapRunStatus(name, (run) => {
        const why = catalogue.runs.whyHeld(run.spec.volumeUuid, name);
        if ((why === undefined) === (heldBefore(run.status) === undefined)) return undefined;
        if (why !== undefined) context.log.error({ run: name, volume: run.spec.volumeRef }, advice(run, why));
        else context.log.info({ run: name, volume: run.spec.volumeRef }, "an ECStripe counts again as it is");
        return statusWith(run, why, isoNow(context.clock));
      });
    } catch (error) {
      // To the end of the line, or a few that nobody can write would keep all others from being told.
      if (catalogue.runs.unsaid.delete(name)) catalogue.runs.unsaid.add(name);
      context.log.warn({ run: name, error: String(error) }, "not told in the ECStripe's status; will try again");
    }
  }
}

function statusWith(run: EcStripe, why: string | undefined, now: string): EcStripeStatus {
  const old = run.status ?? { state: "Unwritten" as const, missingShards: [], observedEpoch: 0, observedSeq: 0 };
  const condition =
    why === undefined
      ? {
          status: "True" as const,
          reason: "PutBackOrAccepted",
          message: "The spec is what was committed, or was accepted.",
        }
      : { status: "False" as const, reason: "ChangedByHand", message: advice(run, why) };
  return readableStatus(run.spec, {
    ...old,
    conditions: withConditions(old.conditions, [{ type: trustedCondition, ...condition }], now),
  });
}

function advice(
  { metadata: { name, generation } }: { metadata: { name: string; generation?: number | undefined } },
  why: string,
): string {
  if (why.includes(acceptAnnotation)) return why;
  const current = generation ?? `$(kubectl get ecstripe ${name} -o jsonpath={.metadata.generation})`;
  return (
    `${why}, by hand. Until it is put right the run is neither read nor written, repaired or cleaned up. Put its spec back to what it was; or, if it is to count as it ` +
    `is: kubectl annotate ecstripe ${name} ${acceptAnnotation}=${current} --overwrite (a later brain doesn't know what it was: after putting it back annotate it with its new metadata.generation)`
  );
}
