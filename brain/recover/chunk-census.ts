/** What the disks hold, as compact facts per volume and stripe: which shards of which versions, where, put by which act. */
import type { ChunkInfo } from "@couchestor/common/api/chunks.ts";
import type { Code } from "@couchestor/common/code/code.ts";

/** One encoding of stripes: the shards of a stripe that may be decoded together have the same. */
export interface Version {
  journalId: string;
  generation: number;
  encodeEpoch: number;
  encodeAct: number;
  throughSeq: number;
  code: Code;
  placementVersion: number;
}

/** A stored copy of a shard. */
export interface Copy {
  shardIndex: number;
  poolUuid: string;
  putEpoch: number;
  putAct: number;
}

/** What a volume's chunks say of the volume. */
export interface VolumeFacts {
  name: string;
  sizeBytes: number;
  stripeSizeBytes: number;
  stripesPerRun: number;
  journalId: string;
  code: Code;
}

export interface VolumeCensus {
  volumeUuid: string;
  /** Distinct facts and how many chunks state each, with the newest encoding that does. */
  facts: Map<string, { facts: VolumeFacts; chunks: number; encodeEpoch: number; generation: number }>;
  versions: Version[];
  /** Stripe → version number → its copies. */
  stripes: Map<number, Map<number, Copy[]>>;
  highestEpoch: number;
  corrupt: number;
}

export class Census {
  readonly volumes = new Map<string, VolumeCensus>();
  readonly clusterUuids = new Map<string, number>();
  chunksRead = 0;
  readonly #versionNumbers = new Map<string, number>();
  readonly #interned = new Map<string, string>();

  /** Takes in one listed chunk. `intact` false: it is there but did not verify; it counts for epochs only. */
  add(info: ChunkInfo, intact: boolean): void {
    this.chunksRead++;
    const volume = this.#volume(info.volumeUuid);
    volume.highestEpoch = Math.max(volume.highestEpoch, info.encodeEpoch, info.putEpoch);
    if (!intact) {
      volume.corrupt++;
      return;
    }
    this.clusterUuids.set(info.clusterUuid, (this.clusterUuids.get(info.clusterUuid) ?? 0) + 1);
    this.#noteFacts(volume, info);
    const versions = volume.stripes.get(info.stripe) ?? new Map<number, Copy[]>();
    volume.stripes.set(info.stripe, versions);
    const number = this.#version(volume, info);
    const copies = versions.get(number) ?? [];
    versions.set(number, copies);
    const poolUuid = this.#intern(info.poolUuid);
    copies.push({ shardIndex: info.shardIndex, poolUuid, putEpoch: info.putEpoch, putAct: info.putAct });
  }

  #volume(volumeUuid: string): VolumeCensus {
    let volume = this.volumes.get(volumeUuid);
    if (!volume) {
      volume = { volumeUuid, facts: new Map(), versions: [], stripes: new Map(), highestEpoch: 0, corrupt: 0 };
      this.volumes.set(volumeUuid, volume);
    }
    return volume;
  }

  #version(volume: VolumeCensus, info: ChunkInfo): number {
    const { journalId, generation, encodeEpoch, encodeAct, throughSeq, code, placementVersion } = info;
    const key = `${volume.volumeUuid}/${journalId}/${generation}/${encodeEpoch}/${encodeAct}`;
    const known = this.#versionNumbers.get(key);
    if (known !== undefined) return known;
    this.#versionNumbers.set(key, volume.versions.length);
    return (
      volume.versions.push({ journalId, generation, encodeEpoch, encodeAct, throughSeq, code, placementVersion }) - 1
    );
  }

  #noteFacts(volume: VolumeCensus, info: ChunkInfo): void {
    const facts: VolumeFacts = {
      name: info.volumeName,
      sizeBytes: info.volumeSizeBytes,
      stripeSizeBytes: info.policyStripeBytes,
      stripesPerRun: info.stripesPerRun,
      journalId: info.journalId,
      code: info.code,
    };
    const key = JSON.stringify(facts);
    const known = volume.facts.get(key) ?? { facts, chunks: 0, encodeEpoch: 0, generation: 0 };
    known.chunks++;
    if (
      info.encodeEpoch > known.encodeEpoch ||
      (info.encodeEpoch === known.encodeEpoch && info.generation > known.generation)
    ) {
      known.encodeEpoch = info.encodeEpoch;
      known.generation = info.generation;
    }
    volume.facts.set(key, known);
  }

  #intern(text: string): string {
    const known = this.#interned.get(text);
    if (known !== undefined) return known;
    this.#interned.set(text, text);
    return text;
  }
}
