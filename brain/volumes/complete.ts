/** The end of an import: every run is committed, so the volume is Ready. */
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import type { Services } from "./services.ts";
import { runCounts } from "./volume-rules.ts";

/** Opens the volume for readers. The same again changes nothing; `FailedPrecondition` names the runs that are not committed. */
export async function completeImport(services: Services, name: string, contentSha256: string): Promise<EcVolume> {
  const volume = await services.catalogue.freshVolume(name);
  const status = must(volume.status, "the volume's status");
  if (status.phase === "Ready" && status.contentSha256 === contentSha256) return volume;
  if (status.phase !== "Importing") {
    throw new AppError("FailedPrecondition", `volume ${name} is ${status.phase}; no import is under way`, {
      data: { phase: status.phase },
    });
  }
  const runs = await services.catalogue.mapFreshRuns(volume, ({ spec: { generation, firstStripe, stripeCount } }) => ({
    isWritten: generation > 0,
    firstStripe,
    stripeCount,
  }));
  const { stripes } = runCounts(volume.spec);
  const covered = coveredStripes(runs.filter((run) => run.isWritten));
  if (covered !== stripes) {
    const missing = runs.filter((run) => !run.isWritten).map((run) => run.firstStripe / volume.spec.stripesPerRun);
    throw new AppError(
      "FailedPrecondition",
      `volume ${name}: ${stripes - covered} of ${stripes} stripes are not imported yet; runs ${missing.slice(0, 8).join(", ")}${missing.length > 8 ? " …" : ""}`,
      { data: { missingRuns: missing.slice(0, 64), missingRunsTotal: missing.length } },
    );
  }
  return services.catalogue.swapVolumeStatus(name, (current) => {
    const now = must(current.status, "the volume's status");
    if (now.phase !== "Importing") return undefined;
    return { ...now, phase: "Ready", contentSha256, importedBytes: volume.spec.sizeBytes };
  });
}

/** How many stripes the runs cover: what two of them cover, such as one that is divided meanwhile or made by hand, makes up for no other. */
function coveredStripes(runs: readonly { firstStripe: number; stripeCount: number }[]): number {
  let covered = 0;
  let end = 0;
  for (const run of [...runs].sort((a, b) => a.firstStripe - b.firstStripe)) {
    const runEnd = run.firstStripe + run.stripeCount;
    covered += Math.max(0, runEnd - Math.max(end, run.firstStripe));
    end = Math.max(end, runEnd);
  }
  return covered;
}
