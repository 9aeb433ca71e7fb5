/** The end of an import: every run is committed, so the volume is Ready. */
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { gapsBetween, stripesIn } from "./gaps.ts";
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
  const written = runs.filter((run) => run.isWritten).sort((a, b) => a.firstStripe - b.firstStripe);
  const left = stripesIn(gapsBetween(written, stripes));
  if (left > 0) {
    const missing = runs.filter((run) => !run.isWritten).map((run) => run.firstStripe / volume.spec.stripesPerRun);
    throw new AppError(
      "FailedPrecondition",
      `volume ${name}: ${left} of ${stripes} stripes are not imported yet; runs ${missing.slice(0, 8).join(", ")}${missing.length > 8 ? " …" : ""}`,
      { data: { missingRuns: missing.slice(0, 64), missingRunsTotal: missing.length } },
    );
  }
  return services.catalogue.swapVolumeStatus(name, (current) => {
    const now = must(current.status, "the volume's status");
    if (now.phase !== "Importing") return undefined;
    return { ...now, phase: "Ready", contentSha256, importedBytes: volume.spec.sizeBytes };
  });
}
