/** Steps of the demo: the file goes in, nodes are lost, the file comes out. */
import { parseCode } from "@couchestor/common/code/code.ts";
import { secondsText } from "../cli/progress.ts";
import { countText, sizeText } from "../cli/text.ts";
import { exportVolume } from "../cli/transfer/export-volume.ts";
import { importFile } from "../cli/transfer/import-file.ts";
import { Comparison } from "./checks.ts";
import { allocatedBytes } from "./disk.ts";
import { poolFolders, type Stage, volumeName } from "./stage.ts";

export const demoCode = parseCode("4+2");

/** Imports the file and returns its sha256. */
export async function importStep(stage: Omit<Stage, "sha256">): Promise<string> {
  const { story, output, client, clock, signal, file } = stage;
  const sha256 = await story.step("import", `import it into an erasure-coded volume, 4+2`, async () => {
    const bar = output.progress({ label: "import", total: stage.fileBytes, unit: "bytes" });
    const result = await importFile({
      client,
      clock,
      signal,
      name: volumeName,
      path: file.path,
      code: demoCode,
      runsInFlight: 3,
      onProgress: (done) => bar.update(done),
    }).finally(() => bar.stop({ remove: true }));
    const rate = sizeText(Math.round(stage.fileBytes / result.seconds));
    return {
      ok: result.volume.phase === "Ready",
      value: result.contentSha256,
      text: `${sizeText(stage.fileBytes)} in ${secondsText(result.seconds)} (${rate}/s), ${countText(result.runs, "run")}, encoded by ${result.codecs.join(", ")}`,
      details: [`sha256 ${result.contentSha256}`],
      figures: {
        bytes: stage.fileBytes,
        seconds: result.seconds,
        runs: result.runs,
        codecs: result.codecs,
        retries: result.retries,
        sha256: result.contentSha256,
      },
    };
  });
  return sha256 ?? "";
}

/** Measures what the pools take on the disk. */
export async function overheadStep(stage: Stage): Promise<void> {
  await stage.story.step("overhead", "measure what it takes on disk", async () => {
    const allocated = await allocatedBytes(poolFolders(stage));
    const factor = allocated / stage.fileBytes;
    return {
      ok: factor >= 1.5 && factor < 2,
      text: `${sizeText(allocated)} allocated for ${sizeText(stage.fileBytes)}: ${factor.toFixed(2)}×, against 3.00× for three copies`,
      figures: { allocatedBytes: allocated, fileBytes: stage.fileBytes, factor, threeCopies: 3 },
    };
  });
}

/** Kills two agents with SIGKILL. Repair waits until the degraded read is done. */
export async function killTwoStep(stage: Stage): Promise<string[]> {
  const names = await stage.story.step("kill two", "kill two agents with SIGKILL", async () => {
    await stage.client.pauseRepair();
    const victims = stage.cluster.agents.filter((agent) => agent.name === "node-2" || agent.name === "node-5");
    await Promise.all(victims.map((agent) => agent.kill()));
    return {
      ok: victims.every((agent) => agent.pid() === 0),
      value: victims.map((agent) => agent.name),
      text: `${victims.map((agent) => agent.name).join(" and ")} are dead, with four of twelve pools; repair waits for the next step`,
      figures: { killed: victims.map((agent) => agent.name) },
    };
  });
  return names ?? [];
}

/** Reads the whole volume and compares it with the file. */
export async function readStep(stage: Stage, name: string, title: string): Promise<void> {
  const { story, output, client, clock, signal } = stage;
  await story.step(name, title, async () => {
    const bar = output.progress({ label: "read", total: stage.fileBytes, unit: "bytes" });
    const comparison = new Comparison(stage.file.path);
    try {
      const result = await exportVolume({
        client,
        clock,
        signal,
        name: volumeName,
        sink: (bytes, offset) => comparison.take(bytes, offset),
        onProgress: (done) => bar.update(done),
      });
      const { firstDifference } = comparison;
      const equal = result.sha256 === stage.sha256 && firstDifference < 0 && result.length === stage.fileBytes;
      const rate = sizeText(Math.round(result.length / result.seconds));
      return {
        ok: equal,
        text: equal
          ? `${sizeText(result.length)} equal byte for byte, sha256 equal, in ${secondsText(result.seconds)} (${rate}/s)`
          : `NOT equal: sha256 ${result.sha256}, first difference at byte ${firstDifference}`,
        figures: {
          bytes: result.length,
          seconds: result.seconds,
          sha256: result.sha256,
          sha256Equal: result.sha256 === stage.sha256,
          firstDifference,
          retries: result.retries,
          readers: result.readers,
        },
      };
    } finally {
      bar.stop({ remove: true });
      await comparison.close();
    }
  });
}
