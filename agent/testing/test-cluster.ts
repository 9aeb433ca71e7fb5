/** Several agents of one process with real stores on temporary folders, real listeners, and a tiny brain that keeps one volume. */
import { join } from "node:path";
import type { ActDone, ActDoneAnswer, EncodeTask, RebuildTask, ScrubTask } from "@couchestor/common/api/acts.ts";
import { actKey } from "@couchestor/common/api/acts.ts";
import type { NodeAddress, RunMap, ShardLocation, VolumeDescriptor } from "@couchestor/common/api/maps.ts";
import { type Code, shardCount } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { type TempDir, tempDir } from "@couchestor/common/testing/temp-dir.ts";
import type { BrainPort } from "../ports.ts";
import { TestAgent } from "./test-agent.ts";

export const clusterUuid = "11111111-1111-4111-8111-111111111111";

export interface TestClusterOptions {
  agents?: number;
  code?: Code;
  sizeBytes?: number;
  stripeSizeBytes?: number;
  stripesPerRun?: number;
  readTimeoutMs?: number;
  seed?: number;
}

export class TestCluster implements AsyncDisposable {
  readonly agents: TestAgent[] = [];
  readonly volume: VolumeDescriptor;
  readonly code: Code;
  readonly runs: RunMap[] = [];
  readonly content: Uint8Array<ArrayBuffer>;
  /** Reports as they came. */
  readonly reports: ActDone[] = [];
  /** What the brain throws at maps and reports; undefined: it is up. */
  brainFailure: AppError | undefined;
  mapsAsked = 0;
  #actNo = 0;
  readonly #dir: TempDir;

  static async create(options: TestClusterOptions = {}): Promise<TestCluster> {
    const cluster = new TestCluster(await tempDir("agents"), options);
    for (let i = 0; i < (options.agents ?? 6); i++) {
      const path = join(cluster.#dir.path, `n${i}`);
      const limits = options.readTimeoutMs === undefined ? {} : { readTimeoutMs: options.readTimeoutMs };
      cluster.agents.push(
        await TestAgent.start({ nodeName: `n${i}`, path, brain: cluster.brain, clusterUuid, limits }),
      );
    }
    return cluster;
  }

  private constructor(dir: TempDir, options: TestClusterOptions) {
    const {
      code = { family: "rs", k: 4, m: 2 },
      sizeBytes = 200_000,
      stripeSizeBytes = 65_536,
      stripesPerRun = 2,
    } = options;
    this.#dir = dir;
    this.code = code;
    const prng = seededPrng(options.seed ?? 1);
    this.content = Uint8Array.from(prng.bytes(sizeBytes));
    const name = "vol";
    this.volume = {
      name,
      volumeUuid: prng.uuid(),
      journalId: prng.uuid(),
      clusterUuid,
      sizeBytes,
      stripeSizeBytes,
      stripesPerRun,
    };
    const stripes = Math.ceil(sizeBytes / stripeSizeBytes);
    for (let first = 0; first < stripes; first += stripesPerRun) {
      const stripeCount = Math.min(stripesPerRun, stripes - first);
      const never = { generation: 0, encodeEpoch: 0, encodeAct: 0, throughSeq: 0, placementVersion: 0 };
      this.runs.push({ firstStripe: first, stripeCount, code, ...never, shardLocations: [], exceptions: [] });
    }
  }

  readonly brain: BrainPort = {
    heartbeat: async () => ({ clusterUuid, heartbeatEveryMs: 1000 }),
    map: async (_, firstStripe, stripeCount) => {
      this.mapsAsked++;
      if (this.brainFailure !== undefined) throw this.brainFailure;
      const end = firstStripe + stripeCount;
      const runs = this.runs.filter((run) => run.firstStripe < end && run.firstStripe + run.stripeCount > firstStripe);
      return { volume: this.volume, runs: structuredClone(runs), nodes: this.nodes() };
    },
    actDone: async (done) => {
      if (this.brainFailure !== undefined) throw this.brainFailure;
      this.reports.push(done);
      return this.onDone(done);
    },
  };

  /** What the brain answers to a report; commits by default. */
  onDone: (done: ActDone) => ActDoneAnswer = (done) => ({ result: done.kind === "scrub" ? "noted" : "committed" });

  agent(index: number): TestAgent {
    return this.agents[index] as TestAgent;
  }

  nodes(): NodeAddress[] {
    return this.agents.map((agent) => ({ nodeName: agent.nodeName, url: agent.url, online: agent.online }));
  }

  /** One shard a node, in order. */
  targets(putAct: number, offset = 0): ShardLocation[] {
    return Array.from({ length: shardCount(this.code) }, (_, shardIndex) => {
      const agent = this.agent((shardIndex + offset) % this.agents.length);
      return { shardIndex, poolUuid: agent.poolUuid, nodeName: agent.nodeName, poolName: "p", putEpoch: epoch, putAct };
    });
  }

  base() {
    return {
      act: { volumeUuid: this.volume.volumeUuid, epoch, actNo: ++this.#actNo },
      volume: this.volume,
      nodes: this.nodes(),
    };
  }

  encodeTask(runIndex: number): EncodeTask {
    const base = this.base();
    const run = this.run(runIndex);
    const { firstStripe, stripeCount, code } = run;
    const { start, end } = this.bytesOf(runIndex);
    const version = { generation: run.generation + 1, throughSeq: 0, placementVersion: 1 };
    const targets = this.targets(base.act.actNo);
    return { kind: "encode", ...base, code, firstStripe, stripeCount, contentBytes: end - start, ...version, targets };
  }

  rebuildTask(runIndex: number, targets: ShardLocation[], only?: RebuildTask["only"]): RebuildTask {
    const base = this.base();
    const mine = targets.map((target) => ({ ...target, putEpoch: epoch, putAct: base.act.actNo }));
    const run = structuredClone(this.run(runIndex));
    return {
      kind: "rebuild",
      ...base,
      run,
      placementVersion: 2,
      targets: mine,
      ...(only === undefined ? {} : { only }),
    };
  }

  scrubTask(runIndex: number, deep: boolean): ScrubTask {
    return { kind: "scrub", ...this.base(), run: structuredClone(this.run(runIndex)), deep };
  }

  run(index: number): RunMap {
    return this.runs[index] as RunMap;
  }

  bytesOf(runIndex: number): { start: number; end: number } {
    const { firstStripe, stripeCount } = this.run(runIndex);
    const { stripeSizeBytes, sizeBytes } = this.volume;
    return {
      start: firstStripe * stripeSizeBytes,
      end: Math.min(sizeBytes, (firstStripe + stripeCount) * stripeSizeBytes),
    };
  }

  /** Encodes the whole content through one agent's admin API, run by run, and commits. */
  async write(through = this.agent(0)): Promise<void> {
    for (let i = 0; i < this.runs.length; i++) {
      const task = this.encodeTask(i);
      through.acts.accept(task);
      const { start, end } = this.bytesOf(i);
      const url = `${through.adminUrl}/v1/acts/${actKey(task.act)}/data`;
      const answer = await fetch(url, { method: "PUT", body: this.content.subarray(start, end) });
      if (!answer.ok) throw new AppError("Internal", `encoding failed: ${await answer.text()}`);
      this.commit(i, task);
    }
  }

  commit(runIndex: number, task: EncodeTask): void {
    Object.assign(this.run(runIndex), {
      generation: task.generation,
      encodeEpoch: task.act.epoch,
      encodeAct: task.act.actNo,
      placementVersion: task.placementVersion,
      shardLocations: task.targets,
    });
  }

  /** Bytes of the volume as read by an agent. */
  async read(by = this.agent(5), offset = 0, length = this.content.byteLength - offset): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of by.reader.read(this.volume.volumeUuid, offset, length)) pieces.push(piece.slice());
    return Buffer.concat(pieces);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.agents.map((agent) => agent.stop()));
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** The owner's epoch in these tests. */
export const epoch = 2 ** 32;

/** Waits until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  const untilMs = systemClock.monotonicMs() + 60_000;
  while (!condition()) {
    if (systemClock.monotonicMs() > untilMs) throw new AppError("Timeout", "the test waited 60 s for a condition");
    await systemClock.sleep(2);
  }
}
