/**
 * Mayastor's own Kubernetes objects, as far as a cluster has them: DiskPools in whichever version of `openebs.io` is served, whose labels should be
 * those that its control plane goes by, and MayastorVolumes of its first generation, which has no REST API. Read only, and for messages only.
 */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { KubeClient } from "./client.ts";
import { Discovery } from "./discovery.ts";
import type { KubeObject } from "./objects.ts";

export const openEbsGroup = "openebs.io";

export interface DiskPoolLabels {
  name: string;
  labels: Readonly<Record<string, string>>;
}

export interface MayastorObjectsSeen {
  diskPools: readonly DiskPoolLabels[];
  /** Names of MayastorVolumes, which are the volumes' uuids. */
  firstGeneration: ReadonlySet<string>;
  /** What could not be read, in words. */
  problems: readonly string[];
}

interface DiskPool extends KubeObject {
  spec?: { topology?: { labelled?: unknown } };
}

const keptMs = 60_000;
const nothing: MayastorObjectsSeen = { diskPools: [], firstGeneration: new Set(), problems: [] };

/** Looks at them, once a minute at most. */
export class MayastorObjects {
  readonly #client: Pick<KubeClient, "list" | "transport">;
  readonly #clock: Clock;
  readonly #discovery: Discovery;
  #kept: { seen: MayastorObjectsSeen; atMs: number } | undefined;

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
    this.#discovery = new Discovery(client);
  }

  /** What there is. Never throws: nothing that is decided depends on it. */
  async look(signal?: AbortSignal): Promise<MayastorObjectsSeen> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#kept !== undefined && nowMs - this.#kept.atMs < keptMs) return this.#kept.seen;
    const seen = await this.#read(signal).catch((error: unknown) => ({
      ...nothing,
      problems: [`objects of ${openEbsGroup} can't be read: ${error instanceof Error ? error.message : String(error)}`],
    }));
    this.#kept = { seen, atMs: nowMs };
    return seen;
  }

  async #read(signal: AbortSignal | undefined): Promise<MayastorObjectsSeen> {
    const versions = await this.#versions(signal);
    const pools = await this.#list<DiskPool>("DiskPool", versions, signal);
    const volumes = await this.#list("MayastorVolume", versions, signal);
    return {
      diskPools: pools.map(({ metadata, spec }) => ({ name: metadata.name, labels: texts(spec?.topology?.labelled) })),
      firstGeneration: new Set(volumes.map(({ metadata }) => metadata.name)),
      problems: [],
    };
  }

  /** `openebs.io/v1beta3` …, the one that the API server prefers first; none where the group isn't served. */
  async #versions(signal: AbortSignal | undefined): Promise<string[]> {
    try {
      const path = `/apis/${openEbsGroup}`;
      const { versions = [] } = await this.#client.transport.request<{ versions?: { groupVersion: string }[] }>({
        method: "GET",
        path,
        signal,
      });
      return versions.map(({ groupVersion }) => groupVersion);
    } catch (error) {
      if (isAppError(error, "NotFound")) return [];
      throw error;
    }
  }

  async #list<T extends KubeObject>(
    kind: string,
    versions: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<T[]> {
    for (const version of versions) {
      try {
        const type = await this.#discovery.typeOf(version, kind, signal);
        return (await this.#client.list<T>(type, {}, { signal })).items;
      } catch (error) {
        if (!isAppError(error, "NotFound")) throw error;
      }
    }
    return [];
  }
}

function texts(labels: unknown): Record<string, string> {
  if (typeof labels !== "object" || labels === null) return {};
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => typeof value === "string"));
}
