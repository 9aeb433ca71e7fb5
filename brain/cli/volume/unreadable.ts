/** Notes beneath a list of volumes: which can't be read in part though their disks are fine, why, and what to do. */
import type { VolumeView } from "@couchestor/common/api/admin.ts";
import { countText, rangesText } from "../text.ts";

/** A sentence for each trouble of the volume; none when each of its stripes is covered by a run that is used. */
export function unreadableNotes({ name, runs, uncovered }: VolumeView): string[] {
  const notes: string[] = [];
  if (uncovered !== undefined) {
    const ranges = rangesText(uncovered.ranges.map((r) => ({ first: r.firstStripe, count: r.stripeCount })));
    const more = uncovered.stripes > uncovered.ranges.reduce((sum, r) => sum + r.stripeCount, 0) ? " and more" : "";
    notes.push(
      `volume ${name}: ${countText(uncovered.stripes, "stripe")} can't be read, no run covers them: ${ranges}${more}. Their ECStripes are gone, and nothing of their data ` +
        "was removed: create the objects again as they were",
    );
  }
  if (runs.held > 0) {
    notes.push(
      `volume ${name}: ${countText(runs.held, "run")} ${runs.held === 1 ? "is" : "are"} held, changed by hand, and can't be read: couchestor stripe list ${name} --state Held says why, and what to do`,
    );
  }
  return notes;
}
