/** Writes StorageNode objects behind the live view: the newest state of a node wins, one write at a time, tried again after a failure. */
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { type StorageNodeStatus, storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { BrainContext } from "../ports.ts";
import type { LiveNode } from "./live-node.ts";

export class NodeWriter {
  readonly #context: BrainContext;
  readonly #dirty = new Set<LiveNode>();
  #running: Promise<void> | undefined;

  constructor(context: BrainContext) {
    this.#context = context;
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
    const status = statusOf(node);
    if (!status) return;
    const current = await store.get(storageNodeKind, node.name);
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
    await store.updateStatus(storageNodeKind, { ...latest, status });
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
  };
}
