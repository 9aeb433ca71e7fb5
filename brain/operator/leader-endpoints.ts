/**
 * Leads agents to the leader: the Service that they call has no selector, and the leader writes its own address into the Service's
 * EndpointSlice when its term begins. Whoever is connected to a brain that no longer leads is told so and loses that connection, and the next goes
 * to the leader. Looked at again now and then, in case somebody else writes there.
 */
import { isIP } from "node:net";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { KubeClient } from "../kube/client.ts";
import type { KubeObject, ObjectType } from "../kube/objects.ts";
import type { Leadership } from "../runtime/leadership.ts";
import type { Part } from "../runtime/manager.ts";

export const endpointSliceType: ObjectType = {
  group: "discovery.k8s.io",
  version: "v1",
  kind: "EndpointSlice",
  plural: "endpointslices",
  namespaced: true,
};

interface EndpointSlice extends KubeObject {
  addressType: string;
  endpoints?: unknown[] | null;
  ports?: unknown[] | null;
}

export interface LeaderPlace {
  namespace: string;
  /** Of the Service; its slices are named after it: `couchestor-brain-ipv4`, `couchestor-brain-ipv6`. */
  service: string;
  /** Of this pod. */
  address: string;
  /** The pod's name, for people. */
  pod: string;
}

const lookEveryMs = 30_000;
const retryEveryMs = 1_000;
const requestMsMax = 5_000;
/** The name that the Service's port has. */
const portName = "cluster";

/** The slice that holds addresses of this kind. */
export function sliceName({ service, address }: Pick<LeaderPlace, "service" | "address">): string {
  return `${service}-${isIP(address) === 6 ? "ipv6" : "ipv4"}`;
}

/** The slice with this brain as its only endpoint; undefined if that is what it has. Readiness is not asked: a leader whose Prometheus is away repairs all the same. */
export function withLeader(slice: EndpointSlice, place: LeaderPlace, port: number): EndpointSlice | undefined {
  const endpoints = [
    {
      addresses: [place.address],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: { kind: "Pod", namespace: place.namespace, name: place.pod },
    },
  ];
  const ports = [{ name: portName, port, protocol: "TCP" }];
  if (Bun.deepEquals(slice.endpoints, endpoints) && Bun.deepEquals(slice.ports, ports)) return undefined;
  return { ...slice, endpoints, ports };
}

export interface LeaderEndpointsDeps {
  client: Pick<KubeClient, "get" | "replace">;
  clock: Clock;
  logger: Logger;
  leadership: Pick<Leadership, "assertLeader" | "signal">;
}

/** A part of one term. */
export class LeaderEndpoints implements Part {
  readonly name = "leader endpoints";
  readonly #deps: LeaderEndpointsDeps;
  readonly #place: LeaderPlace;
  readonly #port: () => number;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  /** `port`: where agents are answered. */
  constructor(deps: LeaderEndpointsDeps, place: LeaderPlace, port: () => number) {
    this.#deps = deps;
    this.#place = place;
    this.#port = port;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** What stands there stays: the next leader replaces it, and until then nobody else would answer. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger, leadership } = this.#deps;
    const signal = AbortSignal.any([this.#stop.signal, leadership.signal]);
    let told = "";
    while (!signal.aborted) {
      let pauseMs = lookEveryMs;
      try {
        await this.#look();
        told = "";
      } catch (error) {
        if (signal.aborted) return;
        pauseMs = isAppError(error, "NotFound") ? lookEveryMs : retryEveryMs;
        const why = error instanceof Error ? error.message : String(error);
        if (why !== told && !isAppError(error, "Conflict"))
          logger.warn({ why }, "agents can't be led to this brain yet");
        told = why;
      }
      await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  /** Throws `Conflict` if somebody else wrote meanwhile, which is looked at again. */
  async #look(): Promise<void> {
    const { client, logger, leadership } = this.#deps;
    const { namespace, address } = this.#place;
    const name = sliceName(this.#place);
    const limits = { timeoutMs: requestMsMax, attemptsMax: 1 };
    const found = await client.get<EndpointSlice>(endpointSliceType, { namespace, name }, limits);
    if (found === undefined) {
      throw new AppError("NotFound", `there is no EndpointSlice ${namespace}/${name}: apply deploy/manifests`);
    }
    const next = withLeader(found, this.#place, this.#port());
    if (next === undefined) return;
    await client.replace(endpointSliceType, next, { ...limits, before: () => leadership.assertLeader() });
    logger.info({ slice: name, address }, "agents are led to this brain");
  }
}
