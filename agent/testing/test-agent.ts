/** One agent for tests: a real pool, real listeners, faults on demand. */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ChunkKey } from "@couchestor/common/api/chunks.ts";
import { type Listener, startListener } from "@couchestor/common/http/listener.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { typescriptChecksum } from "@couchestor/native-ffi/codec/crc32c.ts";
import { planRecovery } from "@couchestor/native-ffi/codec/recovery.ts";
import { typescriptCodec } from "@couchestor/native-ffi/codec/typescript-codec.ts";
import { adminApp } from "../http/admin-app.ts";
import { clusterApp } from "../http/cluster-app.ts";
import { ActRunner } from "../mover/act-runner.ts";
import { type ByteBudget, type MemoryBudgets, memoryBudgets } from "../mover/byte-budget.ts";
import { MapCache } from "../mover/map-cache.ts";
import { NodePeers } from "../mover/node-peers.ts";
import { PoolFinder } from "../mover/pool-finder.ts";
import { type RemotePeerLimits, remotePeerLimits } from "../mover/remote-chunk-peer.ts";
import { StripeReader, stripeReaderLimits } from "../mover/stripe-reader.ts";
import { agentMetrics } from "../observe/metrics.ts";
import { PoolIdentities } from "../pools/identities.ts";
import { poolOpener } from "../pools/open-pool.ts";
import { PoolRegistry } from "../pools/pool-registry.ts";
import type { BrainPort } from "../ports.ts";
import type { PoolChunkStore } from "../store/pool-chunk-store.ts";

export interface TestAgentOptions {
  nodeName: string;
  path: string;
  brain: BrainPort;
  clusterUuid: string;
  limits?: Partial<RemotePeerLimits>;
}

export const coding = { codec: typescriptCodec, checksum: typescriptChecksum, plan: planRecovery };

export class TestAgent {
  readonly nodeName: string;
  readonly pools: PoolRegistry;
  readonly acts: ActRunner;
  readonly reader: StripeReader;
  readonly maps: MapCache;
  readonly memory: MemoryBudgets;
  /** Of what it moves. */
  readonly budget: ByteBudget;
  readonly poolPath: string;
  /** What the map says. */
  online = true;
  /** Takes requests and never answers. */
  hung = false;
  /** Requests that it left without an answer. */
  leftHanging = 0;
  /** What is served, as `METHOD /path/{parameter}`. */
  readonly routes: { cluster: string[]; admin: string[] };
  readonly #cluster: Listener;
  readonly #admin: Listener;

  static async start(options: TestAgentOptions): Promise<TestAgent> {
    const { nodeName, path, clusterUuid } = options;
    const parts = { clock: systemClock, prng: systemPrng, log: silentLogger(), checksum: coding.checksum };
    const openDevice = () => Promise.reject(new Error("no block devices in these tests"));
    const open = poolOpener({ ...parts, nodeName, fileSystem: nodeFileSystem({}), openDevice });
    const specs = [{ poolName: "p", path: join(path, "p"), labels: {} }];
    const identities = new PoolIdentities(path);
    const pools = new PoolRegistry({ ...parts, nodeName, specs, open, identities, retryMs: 20 });
    await mkdir(path, { recursive: true });
    await pools.start();
    await pools.adopt(clusterUuid);
    return new TestAgent(options, pools);
  }

  private constructor(options: TestAgentOptions, pools: PoolRegistry) {
    const { nodeName, brain, limits, path } = options;
    const base = { clock: systemClock, log: silentLogger() };
    this.nodeName = nodeName;
    this.pools = pools;
    this.poolPath = join(path, "p");
    this.memory = memoryBudgets(64 * 2 ** 20);
    this.budget = this.memory.moving;
    const peers = new NodePeers({
      nodeName,
      pools,
      ...base,
      checksum: coding.checksum,
      tls: () => undefined,
      limits: { ...remotePeerLimits, ...limits },
    });
    const mover = { ...coding, ...base, peers };
    this.maps = new MapCache({ brain, ...base });
    const finder = new PoolFinder({ nodeName, pools, clock: systemClock, tls: () => undefined });
    // An absent chunk always has the map asked for anew.
    const readerLimits = { ...stripeReaderLimits, mapBelievedMs: 0 };
    this.reader = new StripeReader(mover, { maps: this.maps, budget: this.budget, finder }, readerLimits);
    const instanceUuid = systemPrng.uuid();
    this.acts = new ActRunner({ ...mover, budget: this.budget, finder }, { brain, nodeName, instanceUuid });
    const version = { version: "0", commit: "0", protocolVersion: 1, codec: "typescript", nodeName, instanceUuid };
    const metrics = agentMetrics({
      nodeName,
      codec: "typescript",
      pools: () => pools.infos(),
      stores: () => pools.stores(),
      acts: () => this.acts,
      reads: () => this.reader.counts,
      memory: () => this.memory,
      brainAnsweredMsAgo: () => undefined,
    });
    const app = { ...base, metrics, acts: this.acts, version };
    const cluster = clusterApp({
      ...app,
      listener: "cluster",
      pools,
      budget: this.memory.serving,
      poolInfos: () => pools.infos(),
    });
    const admin = adminApp({ ...app, listener: "admin", maps: this.maps, reader: this.reader });
    const routesOf = (app: typeof cluster) =>
      app.routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    this.routes = { cluster: routesOf(cluster), admin: routesOf(admin) };
    const listen = (name: string, serve: typeof cluster) =>
      startListener({
        name,
        address: { hostname: "127.0.0.1", port: 0 },
        tlsFlags: "",
        bodyBytesMax: 2 ** 40,
        clock: systemClock,
        handle: (request, context) => {
          if (!this.hung) return serve.fetch(request, context);
          this.leftHanging++;
          return new Promise<Response>(() => undefined);
        },
      });
    this.#cluster = listen("cluster", cluster);
    this.#admin = listen("admin", admin);
  }

  get url(): string {
    return this.#cluster.url;
  }

  get adminUrl(): string {
    return this.#admin.url;
  }

  get store(): PoolChunkStore {
    return this.pools.stores()[0] as PoolChunkStore;
  }

  get poolUuid(): string {
    return this.pools.infos()[0]?.poolUuid as string;
  }

  /** Goes away as a killed process does: nothing listens any more. */
  async die(): Promise<void> {
    await this.#cluster.stop(0);
    await this.#admin.stop(0);
  }

  /** Turns one bit of the chunk's record on disk: of its data, or of its header. */
  async flip(key: ChunkKey, where: "data" | "header"): Promise<void> {
    const { crcs, bytes } = await this.store.get(key, 0, 1);
    const table = new Uint8Array(4);
    new DataView(table.buffer).setUint32(0, crcs[0] as number, true);
    const wanted = where === "data" ? Buffer.from(bytes) : Buffer.from(table);
    for (const name of await readdir(this.poolPath, { recursive: true })) {
      const file = Bun.file(join(this.poolPath, name));
      if (!(await file.exists())) continue;
      const content = Buffer.from(await file.arrayBuffer());
      const at = content.indexOf(wanted);
      if (at < 0) continue;
      content[at] = (content[at] as number) ^ 0x10;
      await Bun.write(file, content);
      return;
    }
    throw new Error("the chunk's bytes are in no file of the pool");
  }

  async stop(): Promise<void> {
    this.hung = false;
    await this.acts.shutdown();
    await this.die();
    await this.pools.close();
  }
}
