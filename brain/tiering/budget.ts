/** How many migrations may run at once, per policy and in all. */
import type { ActiveMove } from "./model.ts";

export class MigrationBudget {
  readonly #globalMax: number;
  readonly #running = new Map<string, number>();
  #total: number;

  constructor(globalMax: number, active: readonly ActiveMove[]) {
    this.#globalMax = globalMax;
    this.#total = active.length;
    for (const { policyName } of active) if (policyName !== undefined) this.#count(policyName);
  }

  /** Migrations of the policy that run or were admitted. */
  of(policyName: string): number {
    return this.#running.get(policyName) ?? 0;
  }

  get total(): number {
    return this.#total;
  }

  /** Admits one more; or says which limit stands against it, having admitted none. */
  admit(policyName: string, policyMax: number): "admitted" | "PolicyConcurrency" | "GlobalConcurrency" {
    if (this.of(policyName) >= policyMax) return "PolicyConcurrency";
    if (this.#total >= this.#globalMax) return "GlobalConcurrency";
    this.#count(policyName);
    this.#total += 1;
    return "admitted";
  }

  #count(policyName: string): void {
    this.#running.set(policyName, this.of(policyName) + 1);
  }
}
