/** The simulated control plane behind a port, for programs that speak HTTP. */

import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import type { MayastorRequest } from "../../mayastor/transport.ts";
import type { ClusterOptions } from "./cluster.ts";
import { MayastorControlPlane, type Reached } from "./control-plane.ts";

export class MayastorServer implements AsyncDisposable {
  readonly plane: MayastorControlPlane;
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor(options: Omit<ClusterOptions, "nowMs">, clock: Clock = systemClock) {
    this.plane = new MayastorControlPlane(clock, options);
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      fetch: async (request) => {
        const { pathname, search } = new URL(request.url);
        const text = await request.text();
        const body: unknown = text === "" ? undefined : JSON.parse(text);
        const method = request.method as MayastorRequest["method"];
        return respond(await this.plane.exchange({ method, path: `${pathname}${search}`, body }, "us"));
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

function respond(reached: Reached): Response | Promise<Response> {
  if ("lost" in reached) return reached.lost === "silent" ? new Promise<Response>(() => undefined) : brokenOff();
  const { status, body, html } = reached;
  if (html !== undefined) return new Response(html, { status, headers: { "content-type": "text/html" } });
  return body === undefined ? new Response(null, { status }) : Response.json(body, { status });
}

/** An answer that breaks off in the middle: this server can't cut a connection. */
function brokenOff(): Response {
  return new Response('{"entries":[', { headers: { "content-type": "application/json" } });
}
