/** Plays kube-proxy for one Service: connections go to the endpoint that its EndpointSlice names when they are made, and stay there. */
import { TcpFront } from "@couchestor/common/http/tcp-front.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { brainNamespace } from "../../installation/needs.ts";
import type { ControlPlane } from "../../testing/control-plane.ts";
import { until } from "../../testing/processes.ts";

const path = `/apis/discovery.k8s.io/v1/namespaces/${brainNamespace}/endpointslices`;
const lookEveryMs = 50;

export interface Slice {
  metadata: { resourceVersion: string };
  endpoints?: { addresses: string[]; targetRef?: { name: string } }[] | null;
  ports?: { port: number }[] | null;
}

export class ServiceProxy implements AsyncDisposable {
  readonly #plane: ControlPlane;
  readonly #slice: string;
  readonly #front: TcpFront;
  readonly #stop = new AbortController();
  #following: Promise<void> | undefined;

  private constructor(plane: ControlPlane, slice: string, front: TcpFront) {
    this.#plane = plane;
    this.#slice = slice;
    this.#front = front;
  }

  /** Of this slice. All addresses in it are taken for this machine. */
  static async start(plane: ControlPlane, slice: string): Promise<ServiceProxy> {
    // Port 1 has nobody: as a Service without endpoints.
    const proxy = new ServiceProxy(plane, slice, await TcpFront.listen({ hostname: "127.0.0.1", port: 0 }, 1));
    proxy.#following = proxy.#follow();
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#front.port}`;
  }

  async slice(): Promise<Slice> {
    return (await this.#plane.request("GET", `${path}/${this.#slice}`)) as Slice;
  }

  /** Waits until connections go to this address. */
  async leadsTo(address: string): Promise<Slice> {
    return await until(`the slice names ${address}`, async () => {
      const slice = await this.slice();
      return slice.endpoints?.[0]?.addresses[0] === address ? slice : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
    this.#front.close();
    this.#front.cut();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const slice = await this.slice().catch(() => undefined);
      const port = slice?.ports?.[0]?.port;
      if (port !== undefined) this.#front.turnTo(port);
      await systemClock.sleep(lookEveryMs, signal).catch(() => undefined);
    }
  }
}
