/**
 * The main job, end to end on real data: six nodes, a real file, lost nodes, repair, audit, rot, and the end of what 4+2 bears.
 * Talks to brain and agents through the same functions as the verbs of the command line.
 */
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { version } from "@couchestor/common/runtime/version.ts";
import type { CommandContext } from "../cli/command.ts";
import { secondsText } from "../cli/progress.ts";
import { sizeText } from "../cli/text.ts";
import { type Standalone, startStandalone } from "../standalone/start.ts";
import { damageStep } from "./damage-step.ts";
import { auditStep, placementStep, rebuildStep, scrubStep } from "./heal-steps.ts";
import { type DemoFile, imageBytesMin, makeDemoFile } from "./image.ts";
import { killFullestStep, listedStep, refusedReadStep } from "./loss-steps.ts";
import type { Stage } from "./stage.ts";
import { Story } from "./story.ts";
import { importStep, killTwoStep, overheadStep, readStep } from "./write-steps.ts";

export interface DemoOptions {
  /** A file to take instead of the image. */
  file?: string | undefined;
  sizeBytes: number;
  /** Where the demo makes its own folder. */
  dataDir?: string | undefined;
  keep: boolean;
}

/** Image, pools, rebuilt shards and what is not yet collected of the old ones. */
const diskFactor = 5;

/** Runs the demo. Returns whether everything was as it must be. Leaves nothing behind unless `keep`. */
export async function runDemo(context: CommandContext, options: DemoOptions): Promise<boolean> {
  const { output, host } = context;
  const startMs = host.clock.monotonicMs();
  const story = new Story(output, host.clock);
  const dir = await makeFolder(options);
  let cluster: Standalone | undefined;
  let file: (DemoFile & { bytes: number; sha256: string }) | undefined;
  let failure: unknown;
  try {
    output.line(`CoucheStor ${version}: the main job on real data, in ${dir}`);
    output.line();
    cluster = await startStep(context, story, dir);
    const made = await fileStep(context, story, dir, options);
    file = { ...made, sha256: await play(context, story, dir, cluster, made) };
  } catch (error) {
    // The story has said what failed in a step of its own.
    failure = error;
    if (story.ok) throw error;
  } finally {
    await cluster?.stop();
    if (!options.keep) await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
  const seconds = (host.clock.monotonicMs() - startMs) / 1000;
  if (context.signal.aborted)
    throw new AppError("Cancelled", "the demo was stopped; it left nothing behind", { cause: failure });
  output.result(
    { ok: story.ok, version, seconds, file, steps: story.steps, ...(options.keep ? { dataDir: dir } : {}) },
    () => {
      story.summary();
      output.line();
      const verdict = story.ok
        ? output.paint("everything was as it must be", "good")
        : output.paint("NOT everything was as it must be", "bad");
      output.line(`${verdict}, in ${secondsText(seconds)}`);
      if (options.keep)
        output.line(`kept: ${dir}. Go on with: couchestor standalone --data-dir ${join(dir, "cluster")}`);
    },
  );
  return story.ok;
}

async function makeFolder(options: DemoOptions): Promise<string> {
  const parent = resolve(options.dataDir ?? tmpdir());
  await mkdir(parent, { recursive: true });
  const size = options.file === undefined ? options.sizeBytes : await fileSize(options.file);
  const { freeBytes } = await nodeFileSystem().space(parent);
  if (freeBytes < size * diskFactor) {
    throw new AppError(
      "NoSpace",
      `the demo needs about ${sizeText(size * diskFactor)} in ${parent}, which has ${sizeText(freeBytes)} free; give another --data-dir, or a smaller --size`,
    );
  }
  return mkdtemp(join(parent, "couchestor-demo-"));
}

async function fileSize(path: string): Promise<number> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new AppError("InvalidArgument", `--file: ${path} can't be read: ${error.code}`, { cause: error });
  });
  if (!found.isFile() || found.size < 1024 * 1024) {
    throw new AppError("InvalidArgument", `--file: ${path} is not a file of at least 1 MiB`);
  }
  return found.size;
}

async function startStep(context: CommandContext, story: Story, dir: string): Promise<Standalone> {
  const { host, output, signal } = context;
  const cluster = await story.step("start", "start six agents with two pools each, and a brain", async () => {
    const started = await startStandalone({
      program: host.program,
      env: host.env,
      clock: host.clock,
      signal,
      dataDir: join(dir, "cluster"),
      agents: 6,
      poolsPerAgent: 2,
      restart: false,
      heartbeatEveryMs: 500,
      offlineAfterMs: 2_000,
      repairAfterMs: 1_000,
      onNote: (text) => output.note(text),
    });
    const [node] = await started.client.nodes();
    return {
      ok: true,
      value: started,
      text: `seven processes, twelve pools, ready in ${secondsText(started.readySeconds)}; codec ${node?.codec}`,
      figures: {
        readySeconds: started.readySeconds,
        codec: node?.codec,
        pids: [started.brain, ...started.agents].map((m) => m.pid()),
      },
    };
  });
  if (cluster === undefined) throw new Error("the first step gave no cluster");
  return cluster;
}

async function fileStep(
  context: CommandContext,
  story: Story,
  dir: string,
  options: DemoOptions,
): Promise<DemoFile & { bytes: number }> {
  const { host, signal } = context;
  const own = options.file;
  const title = own === undefined ? `make a file of ${sizeText(options.sizeBytes)}` : "take your file";
  const file = await story.step("file", title, async () => {
    const made: DemoFile =
      own !== undefined
        ? { path: resolve(own), what: "your file" }
        : await makeDemoFile({
            dir,
            sizeBytes: Math.max(options.sizeBytes, imageBytesMin),
            program: host.program,
            env: host.env,
            signal,
          });
    const bytes = await fileSize(made.path);
    return {
      ok: true,
      value: { ...made, bytes },
      text: `${made.what}: ${sizeText(bytes)}`,
      figures: { path: made.path, what: made.what, bytes },
    };
  });
  if (file === undefined) throw new Error("the second step gave no file");
  return file;
}

/** The story itself. */
async function play(
  context: CommandContext,
  story: Story,
  dir: string,
  cluster: Standalone,
  file: DemoFile & { bytes: number },
): Promise<string> {
  const { output, host, signal } = context;
  const scene = {
    story,
    output,
    clock: host.clock,
    signal,
    dir,
    cluster,
    client: cluster.client,
    file,
    fileBytes: file.bytes,
  };
  const stage: Stage = { ...scene, sha256: await importStep(scene) };
  await overheadStep(stage);
  const killed = await killTwoStep(stage);
  await readStep(stage, "degraded read", "read it back with two nodes missing");
  await rebuildStep(stage, killed);
  await placementStep(stage);
  await auditStep(stage, "audit", "audit the redundancy");
  const damage = await damageStep(stage);
  await scrubStep(stage, damage);
  await auditStep(stage, "second audit", "audit again");
  await readStep(stage, "read again", "read it back again");
  await killFullestStep(stage);
  await refusedReadStep(stage);
  await listedStep(stage);
  return stage.sha256;
}
