/**
 * The invariant: **by what the program under test does, no volume ever has fewer healthy copies than it had.**
 *
 * Precisely. `needed` of a volume is the number of its healthy copies (as `cluster.ts` counts them) when it was put under watch. At every
 * change of truth that we are behind, directly or by a call of ours that lands late:
 * 1. min(copies, needed) does not fall. So we may remove a healthy copy only if `needed` others stay; and with fewer than needed, none. A fault,
 *    Mayastor itself or a person may lower the copies: that is not ours, and lowers what is compared with from then on. A replica counts as removed when
 *    it is chosen, which can't be stopped: a fault between the choice and the removal is a fault after it.
 * 2. No copy that remains may be the only one because of us: follows from 1, as `needed` is at least 1.
 * 3. The volume is not deleted.
 * 4. The number of replicas its record asks for does not fall below `countMin`: the smaller of what it had and what it shall have.
 * A copy that was lost too shortly before for anybody to know (the target has not noticed, or the core has not asked since) counts as lost
 * afterwards: that is `unseenMs`, the sum of the longest of both times and of a call's. A mover that reads anything older is not excused.
 * `consented` copies less are allowed while a person has allowed that in so many words.
 */
import type { MayastorCluster } from "./cluster.ts";
import type { Transition } from "./truth.ts";

export interface Watched {
  needed: number;
  countMin: number;
  consented: number;
}

export class ZeroLoss {
  readonly violations: string[] = [];
  /** Changes that were looked at. */
  transitions = 0;
  readonly #watched = new Map<string, Watched>();
  readonly #losses: { atMs: number; volume: string; copies: number }[] = [];
  readonly #unseenMs: number;

  constructor(cluster: MayastorCluster) {
    const { childFaultMs, cachePeriodMs, requestCutMs } = cluster.settings;
    this.#unseenMs = childFaultMs[1] + cachePeriodMs + requestCutMs;
    cluster.onTransition.push((transition) => this.#check(transition));
  }

  watch(volume: string, watched: Watched): void {
    this.#watched.set(volume, watched);
  }

  #check(transition: Transition): void {
    const watched = this.#watched.get(transition.volume);
    if (watched === undefined) return;
    this.transitions += 1;
    const { copiesBefore, copiesAfter, countBefore, countAfter, deleted, what, atMs, volume } = transition;
    if (transition.by !== "us") {
      if (copiesAfter < copiesBefore) this.#losses.push({ atMs, volume, copies: copiesBefore - copiesAfter });
      return;
    }
    const unseen = this.#losses.filter((loss) => loss.volume === volume && atMs - loss.atMs < this.#unseenMs);
    const needed = watched.needed - watched.consented - unseen.reduce((sum, { copies }) => sum + copies, 0);
    if (deleted) this.#violated(transition, "it was deleted");
    if (copiesAfter < copiesBefore && copiesAfter < needed) {
      this.#violated(
        transition,
        `${copiesBefore} healthy copies became ${copiesAfter}, needed are ${needed} (${what})`,
      );
    }
    if (countAfter < countBefore && countAfter < watched.countMin - watched.consented) {
      this.#violated(transition, `its count was lowered to ${countAfter}, at least ${watched.countMin} is its due`);
    }
  }

  #violated(transition: Transition, text: string): void {
    this.violations.push(`at ${new Date(transition.atMs).toISOString()}: volume ${transition.volume}: ${text}`);
  }
}
