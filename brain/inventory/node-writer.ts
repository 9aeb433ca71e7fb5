/** Writes StorageNode objects behind the live view: the newest state of a node wins, one write at a time, tried again after a failure. */
import { apiVersion } from "@couchestor/common/crd/object.ts";
import {
  deviceBrief,
  type StorageNode,
  type StorageNodeStatus,
  storageNodeKind,
} from "@couchestor/common/crd/storage-node.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import type { BrainContext } from "../ports.ts";
import { type ConditionUpdate, withConditions } from "../runtime/conditions.ts";
import type { LiveNode } from "./live-node.ts";

/** What a node's condition says of its devices; undefined: nothing is concluded. */
export type DeviceConditions = (node: LiveNode) => ConditionUpdate | undefined;

/** Told of every StorageNode whose status was written, with what it was. */
export type StoredListener = (node: StorageNode, before: StorageNode) => void;

export class NodeWriter {
  readonly #context: BrainContext;
  #describeDevices: DeviceConditions = () => undefined;
  readonly #listeners: StoredListener[] = [];
  readonly #dirty = new Set<LiveNode>();
  #running: Promise<void> | undefined;

  constructor(context: BrainContext) {
    this.#context = context;
  }

  describeDevices(describe: DeviceConditions): void {
    this.#describeDevices = describe;
  }

  onStored(listener: StoredListener): void {
    this.#listeners.push(listener);
  }

  write(node: LiveNode): void {
    this.#dirty.add(node);
    this.retry();
  }

  retry(): void {
    if (this.#dirty.size > 0 && !this.#running) {
      this.#running = this.#drain().finally(() => {
        this.#running = undefined;
      });
    }
  }

  async flush(): Promise<void> {
    this.retry();
    await this.#running;
  }

  async #drain(): Promise<void> {
    for (const node of [...this.#dirty]) {
      this.#dirty.delete(node);
      try {
        await this.#put(node);
      } catch (error) {
        this.#dirty.add(node);
        this.#context.log.warn(
          { nodeName: node.name, error: String(error) },
          "StorageNode not written; will try again",
        );
        return;
      }
    }
  }

  async #put(node: LiveNode): Promise<void> {
    const { store } = this.#context;
    const labels = node.heartbeat?.labels ?? {};
    const known = statusOf(node);
    if (!known) return;
    const current = await store.get(storageNodeKind, node.name);
    const status = this.#withConditions(node, known, current?.status?.conditions);
    if (!current) {
      const object = {
        apiVersion,
        kind: storageNodeKind.kind,
        metadata: { name: node.name },
        spec: { labels },
        status,
      };
      await store.create(storageNodeKind, object).catch((error) => {
        if (!isAppError(error, "AlreadyExists")) throw error;
        this.#dirty.add(node);
      });
      return;
    }
    const same = node.heartbeat === undefined || JSON.stringify(current.spec.labels) === JSON.stringify(labels);
    const latest = same ? current : await store.update(storageNodeKind, { ...current, spec: { labels } });
    const stored = await store.updateStatus(storageNodeKind, { ...latest, status });
    for (const listener of this.#listeners) listener(stored, current);
  }

  /** A node that reports nothing of its devices keeps what was last known of them. */
  #withConditions(
    node: LiveNode,
    status: StorageNodeStatus,
    before: StorageNodeStatus["conditions"],
  ): StorageNodeStatus {
    const update = this.#describeDevices(node);
    const conditions = update === undefined ? before : withConditions(before, [update], isoNow(this.#context.clock));
    return conditions === undefined ? status : { ...status, conditions };
  }
}

function statusOf(node: LiveNode): StorageNodeStatus | undefined {
  const state = node.state === "Online" ? ("Online" as const) : ("Offline" as const);
  const beat = node.heartbeat;
  if (!beat) return node.stored && { ...node.stored, state, since: node.sinceIso };
  return {
    state,
    since: node.sinceIso,
    instanceUuid: beat.instanceUuid,
    version: beat.version,
    clusterUrl: beat.clusterUrl,
    adminUrl: beat.adminUrl,
    codec: beat.codec,
    pools: beat.pools,
    ...(beat.devices === undefined ? {} : { devices: beat.devices.map(deviceBrief) }),
  };
}
