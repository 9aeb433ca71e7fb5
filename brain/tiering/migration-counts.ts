/** How many Migrations of each policy have ended, and how: counted from the objects that there are, which outlive their policies. Pure. */

export interface EndedMigration {
  policyName: string;
  /** Another policy of the same name has another; undefined where none was written down. */
  policyUid: string | undefined;
  /** As in its outcome; `Unknown` if it ended without one. */
  result: string;
}

export interface MigrationCounts {
  total: number;
  failed: number;
}

/** Called off by a person, or overtaken by a change of the volume, is no failure. */
const failures: ReadonlySet<string> = new Set(["Failed", "TimedOut", "Unknown"]);

/** Counts once for all policies; asks afterwards by name and uid. */
export function migrationCounts(
  ended: Iterable<EndedMigration>,
): (policy: { name: string; uid?: string | undefined }) => MigrationCounts {
  const byPolicy = new Map<string, MigrationCounts>();
  for (const { policyName, policyUid = "", result } of ended) {
    const key = keyOf(policyName, policyUid);
    const counts = byPolicy.get(key) ?? { total: 0, failed: 0 };
    counts.total += 1;
    if (failures.has(result)) counts.failed += 1;
    byPolicy.set(key, counts);
  }
  return ({ name, uid = "" }) => {
    const keys = new Set([keyOf(name, uid), keyOf(name, "")]);
    const found = [...keys].map((key) => byPolicy.get(key) ?? { total: 0, failed: 0 });
    return {
      total: found.reduce((sum, { total }) => sum + total, 0),
      failed: found.reduce((sum, { failed }) => sum + failed, 0),
    };
  };
}

function keyOf(name: string, uid: string): string {
  return `${name} ${uid}`;
}
