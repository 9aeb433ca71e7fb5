/**
 * A brain's admin API and an agent's data API in one listener, for tests of the command line: it keeps volumes in memory, answers by the
 * schemas (every answer is parsed by its own), and can be told to fail in the ways that matter.
 */
import {
  type CreateVolume,
  completeImportSchema,
  createVolumeSchema,
  encodeGrantRequestSchema,
  encodeGrantSchema,
  encodeResultSchema,
  type NodeView,
  nodesAnswerSchema,
  type RecoverReport,
  type RepairStatus,
  readerSchema,
  recoverReportSchema,
  repairStatusSchema,
  type ScrubReport,
  type StripeView,
  scrubReportSchema,
  scrubRequestSchema,
  stripesAnswerSchema,
  type VolumeView,
  volumesAnswerSchema,
  volumeViewSchema,
} from "@couchestor/common/api/admin.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { problemResponse } from "@couchestor/common/errors/http.ts";
import { Hono } from "hono";
import type { z } from "zod";

export interface FakeVolume {
  view: VolumeView;
  runs: Map<number, { bytes: Uint8Array; sha256: string }>;
}

export interface Faults {
  /** Called for every PUT of a run: an error is what the mover answers; `drop` commits nothing and says dropped. */
  onPut?: (runIndex: number, count: number) => AppError | "drop" | "close" | undefined;
  /** Called for every read of a range, with how many there were; `cut` sends half of it. */
  onRead?: (count: number) => AppError | "cut" | undefined;
}

export class FakeCluster {
  readonly volumes = new Map<string, FakeVolume>();
  nodes: NodeView[] = [];
  stripes: StripeView[] = [];
  scrubs: ScrubReport[] = [];
  repair: RepairStatus = idleRepair();
  recovery: RecoverReport[] = [];
  faults: Faults = {};
  /** `METHOD path` of every call, in order. */
  readonly calls: string[] = [];
  readonly #server: ReturnType<typeof Bun.serve>;
  #puts = 0;
  #reads = 0;

  constructor() {
    const app = new Hono();
    app.onError((error) => problemResponse(error));
    app.notFound((c) => problemResponse(new AppError("NotFound", `${c.req.path}: there is no such route`)));
    this.#volumeRoutes(app);
    this.#dataRoutes(app);
    this.#careRoutes(app);
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => {
        this.calls.push(`${request.method} ${new URL(request.url).pathname}`);
        return app.fetch(request);
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  volume(name: string): FakeVolume {
    const found = this.volumes.get(name);
    if (found === undefined) throw new AppError("NotFound", `volume ${name}: there is none of this name`);
    return found;
  }

  /** A volume that is Ready with these bytes. */
  addReady(name: string, bytes: Uint8Array): FakeVolume {
    const volume = this.#create({ name, sizeBytes: bytes.length, importing: false });
    volume.view = { ...volume.view, phase: "Ready", health: "Healthy", contentSha256: hash(bytes) };
    const runBytes = volume.view.stripeSizeBytes * volume.view.stripesPerRun;
    for (let i = 0; i * runBytes < bytes.length; i++) {
      const part = bytes.slice(i * runBytes, (i + 1) * runBytes);
      volume.runs.set(i, { bytes: part, sha256: hash(part) });
    }
    return volume;
  }

  #create(spec: Pick<CreateVolume, "name" | "sizeBytes" | "importing"> & Partial<CreateVolume>): FakeVolume {
    if (this.volumes.has(spec.name)) throw new AppError("AlreadyExists", `volume ${spec.name} exists already`);
    const stripeSizeBytes = spec.stripeSizeBytes ?? 1024 * 1024;
    const stripesPerRun = spec.stripesPerRun ?? 16;
    const total = Math.ceil(spec.sizeBytes / stripeSizeBytes / stripesPerRun);
    const view: VolumeView = {
      name: spec.name,
      volumeUuid: "11111111-2222-4333-8444-555555555555",
      phase: spec.importing ? "Importing" : "Ready",
      health: "Unwritten",
      sizeBytes: spec.sizeBytes,
      code: spec.code ?? { family: "rs", k: 4, m: 2 },
      stripeSizeBytes,
      stripesPerRun,
      runs: { total, written: 0, healthy: 0, degraded: 0, unrecoverable: 0, held: 0, absent: 0 },
      epoch: 2 ** 32,
      createdAt: "2026-01-02T03:04:05.678Z",
    };
    const volume: FakeVolume = { view, runs: new Map() };
    this.volumes.set(spec.name, volume);
    return volume;
  }

  #volumeRoutes(app: Hono): void {
    app.get("/v1/nodes", () => answer(nodesAnswerSchema, { nodes: this.nodes }));
    app.post("/v1/volumes", async (c) => {
      const spec = createVolumeSchema.parse(await c.req.json());
      return Response.json(this.#create(spec).view, { status: 201 });
    });
    app.get("/v1/volumes", () =>
      answer(volumesAnswerSchema, { volumes: [...this.volumes.values()].map((v) => v.view) }),
    );
    app.get("/v1/volumes/:name", (c) => answer(volumeViewSchema, this.volume(c.req.param("name")).view));
    app.delete("/v1/volumes/:name", (c) => {
      const { view } = this.volume(c.req.param("name"));
      this.volumes.delete(view.name);
      return Response.json({ ...view, phase: "Deleting" }, { status: 202 });
    });
    app.post("/v1/volumes/:name/complete", async (c) => {
      const volume = this.volume(c.req.param("name"));
      const { contentSha256 } = completeImportSchema.parse(await c.req.json());
      if (volume.runs.size !== volume.view.runs.total) throw new AppError("FailedPrecondition", "runs are missing");
      volume.view = { ...volume.view, phase: "Ready", health: "Healthy", contentSha256 };
      return answer(volumeViewSchema, volume.view);
    });
  }

  #dataRoutes(app: Hono): void {
    app.post("/v1/volumes/:name/encode", async (c) => {
      const name = c.req.param("name");
      const { view, runs } = this.volume(name);
      const { runIndex, contentSha256 } = encodeGrantRequestSchema.parse(await c.req.json());
      if (runs.get(runIndex)?.sha256 === contentSha256)
        return answer(encodeGrantSchema, { state: "committed", runIndex });
      const runBytes = view.stripeSizeBytes * view.stripesPerRun;
      const offsetBytes = runIndex * runBytes;
      return answer(encodeGrantSchema, {
        state: "granted",
        runIndex,
        act: { volumeUuid: view.volumeUuid, epoch: view.epoch, actNo: this.calls.length },
        dataUrl: `${this.url}/v1/acts/${name}.${runIndex}/data`,
        offsetBytes,
        contentBytes: Math.min(runBytes, view.sizeBytes - offsetBytes),
      });
    });
    app.put("/v1/acts/:key/data", async (c) => {
      const [name = "", index = ""] = c.req.param("key").split(".");
      const fault = this.faults.onPut?.(Number(index), ++this.#puts);
      const bytes = new Uint8Array(await c.req.arrayBuffer());
      if (fault instanceof AppError) throw fault;
      const result = { contentSha256: hash(bytes), codec: "isa-l 2.31.1" };
      if (fault === "drop")
        return answer(encodeResultSchema, { ...result, result: "dropped", reason: "a node went away" });
      this.volume(name).runs.set(Number(index), { bytes, sha256: result.contentSha256 });
      // The commit happened, the answer is lost.
      if (fault === "close") throw new AppError("Unavailable", "the connection broke");
      return answer(encodeResultSchema, { ...result, result: "committed" });
    });
    app.get("/v1/volumes/:name/reader", (c) => {
      const { view } = this.volume(c.req.param("name"));
      return answer(readerSchema, {
        nodeName: `node-${(this.#reads % 3) + 1}`,
        url: this.url,
        volumeUuid: view.volumeUuid,
        sizeBytes: view.sizeBytes,
      });
    });
    app.get("/v1/volumes/:uuid/data", (c) => {
      const volume = [...this.volumes.values()].find((v) => v.view.volumeUuid === c.req.param("uuid"));
      if (volume === undefined) throw new AppError("NotFound", "there is no such volume");
      const match = /^bytes=(\d+)-(\d+)$/.exec(c.req.header("range") ?? "");
      const fault = this.faults.onRead?.(++this.#reads);
      if (fault instanceof AppError) throw fault;
      const all = Buffer.concat([...volume.runs].sort(([a], [b]) => a - b).map(([, run]) => run.bytes));
      const bytes = all.subarray(Number(match?.[1]), Number(match?.[2]) + 1);
      return new Response(fault === "cut" ? bytes.subarray(0, bytes.length >> 1) : bytes, { status: 206 });
    });
  }

  #careRoutes(app: Hono): void {
    app.get("/v1/stripes", (c) => {
      const name = c.req.query("volume") ?? "";
      this.volume(name);
      return answer(stripesAnswerSchema, { stripes: this.stripes.filter((stripe) => stripe.volume === name) });
    });
    app.get("/v1/stripes/:name", (c) => {
      const stripe = this.stripes.find((s) => s.name === c.req.param("name"));
      if (stripe === undefined) throw new AppError("NotFound", "there is none of this name");
      return Response.json({
        apiVersion: "storage.billyronks.io/v1",
        kind: "ECStripe",
        metadata: { name: stripe.name },
        spec: { volumeRef: stripe.volume },
      });
    });
    app.post("/v1/scrubs", async (c) => {
      scrubRequestSchema.parse(await c.req.json());
      return answer(scrubReportSchema, this.scrubs[0]);
    });
    app.get("/v1/scrubs/:id", () => answer(scrubReportSchema, nextOf(this.scrubs)));
    app.get("/v1/repair", () => answer(repairStatusSchema, this.repair));
    for (const paused of [true, false]) {
      app.post(`/v1/repair/${paused ? "pause" : "resume"}`, () => {
        this.repair = { ...this.repair, paused };
        return Response.json({ paused });
      });
    }
    app.post("/v1/recover", () => answer(recoverReportSchema, this.recovery[0]));
    app.get("/v1/recover", () => answer(recoverReportSchema, nextOf(this.recovery)));
  }
}

/** The next report of a series; the last one stays. */
function nextOf<T>(reports: T[]): T | undefined {
  if (reports.length > 1) reports.shift();
  return reports[0];
}

/** Only what the schema allows leaves this server, so that a test can't pass on an answer a brain would never give. */
function answer<S extends z.ZodType>(schema: S, value: unknown): Response {
  return Response.json(schema.parse(value));
}

export function hash(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

export function idleRepair(): RepairStatus {
  return {
    paused: false,
    queued: 0,
    running: 0,
    blocked: [],
    stripesDone: 0,
    stripesTotal: 0,
    bytesMoved: 0,
    bytesPerSecond: 0,
    spare: {},
    waiting: [],
    evacuation: { queued: 0, running: 0, runsMoved: 0, blocked: [], pools: [] },
  };
}
