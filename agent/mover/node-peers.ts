/** One `ChunkPeer` for each node: direct for this one, over HTTP for the others. */
import type { NodeAddress } from "@couchestor/common/api/maps.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { TlsMaterial } from "@couchestor/common/tls/material.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import type { ChunkPeer, OpenPools, PeerStanding, Peers } from "../ports.ts";
import { LocalChunkPeer } from "./local-chunk-peer.ts";
import { RemoteChunkPeer, type RemotePeerLimits, remotePeerLimits } from "./remote-chunk-peer.ts";

/** Clients kept; the one not used for longest goes first. */
const peersMax = 1024;

export interface NodePeersOptions {
  nodeName: string;
  pools: OpenPools;
  checksum: Checksum;
  clock: Clock;
  tls(): TlsMaterial | undefined;
  limits?: RemotePeerLimits;
}

export class NodePeers implements Peers {
  readonly #options: NodePeersOptions;
  readonly #local: LocalChunkPeer;
  readonly #remote = new Map<string, { peer: RemoteChunkPeer; tls: TlsMaterial | undefined }>();

  constructor(options: NodePeersOptions) {
    this.#options = options;
    this.#local = new LocalChunkPeer(options.pools);
  }

  peer(nodeName: string, nodes: readonly NodeAddress[]): ChunkPeer {
    if (nodeName === this.#options.nodeName) return this.#local;
    const address = nodes.find((node) => node.nodeName === nodeName);
    if (address === undefined) {
      throw new AppError("Unavailable", `node ${nodeName}: the brain gave no address for it`, { data: { nodeName } });
    }
    return this.#remotePeer(nodeName, address.url);
  }

  standing(nodeName: string, nodes: readonly NodeAddress[]): PeerStanding {
    if (nodeName === this.#options.nodeName) return "local";
    const address = nodes.find((node) => node.nodeName === nodeName);
    if (address === undefined || !address.online) return "offline";
    return this.#remote.get(nodeName)?.peer.doubtful ? "doubtful" : "online";
  }

  #remotePeer(nodeName: string, url: string): RemoteChunkPeer {
    const tls = this.#options.tls();
    const known = this.#remote.get(nodeName);
    this.#remote.delete(nodeName);
    const { clock, checksum, limits = remotePeerLimits } = this.#options;
    const entry =
      known !== undefined && known.peer.url === url && known.tls === tls
        ? known
        : { peer: new RemoteChunkPeer({ nodeName, url, tls, checksum, clock, limits }), tls };
    this.#remote.set(nodeName, entry);
    if (this.#remote.size > peersMax) this.#remote.delete(this.#remote.keys().next().value as string);
    return entry.peer;
  }
}
