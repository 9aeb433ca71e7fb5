/**
 * A listener whose certificates are replaced without a request being cut. The runtime's server closes its idle connections when it stops
 * accepting, and a caller may be using one of them at that very moment. So connections are accepted in front of it: new ones go to the
 * server with the new certificate at once, and the one before answers `connection: close` until its last connection has gone.
 */
import { problemResponse } from "../errors/http.ts";
import type { TlsMaterial } from "../tls/material.ts";
import type { Listener } from "./listener.ts";
import type { ListenerOptions } from "./listener-options.ts";
import { type HttpServer, listenError, serve, urlOf } from "./serve.ts";
import { TcpFront } from "./tcp-front.ts";

/**
 * What Go's clients, an API server among them, let a connection idle. A server has to wait longer, both before it closes an idle connection and before it
 * gives up one that it drains: then it is always the caller who closes what nobody uses.
 */
export const callerIdleMs = 90_000;
export const drainMsDefault = callerIdleMs + 15_000;
const idleTimeoutMsDefault = callerIdleMs + 30_000;
/** Servers that wait for their connections to go; of more the oldest is stopped. */
export const drainingMax = 8;
const stopPollMs = 10;

export interface DrainingListenerOptions extends Omit<ListenerOptions, "tls"> {
  tls: TlsMaterial;
  /** How long a replaced certificate's connections may stay. */
  drainMs?: number;
}

/** Starts to listen. Throws `InvalidArgument` (bad certificates or address) or `Unavailable` (address in use). */
export async function startDrainingListener(options: DrainingListenerOptions): Promise<Listener> {
  const { address, name } = options;
  const servers = new Servers(options);
  const first = servers.start(options.tls);
  try {
    const front = await TcpFront.listen(address, first);
    return new DrainingListener(options, servers, front);
  } catch (error) {
    await servers.stopAll();
    throw listenError(error, name, address);
  }
}

class DrainingListener implements Listener {
  readonly name: string;
  readonly hostname: string;
  readonly port: number;
  readonly url: string;
  readonly #options: DrainingListenerOptions;
  readonly #servers: Servers;
  readonly #front: TcpFront;
  #stopping = false;

  constructor(options: DrainingListenerOptions, servers: Servers, front: TcpFront) {
    this.name = options.name;
    this.hostname = options.address.hostname;
    this.port = front.port;
    this.url = urlOf(this.hostname, this.port, true);
    this.#options = options;
    this.#servers = servers;
    this.#front = front;
    front.onEmpty = (port) => servers.emptied(port);
  }

  get inFlight(): number {
    return this.#servers.inFlight;
  }

  replaceTls(tls: TlsMaterial): void {
    if (this.#stopping) return;
    const before = this.#servers.present;
    this.#front.turnTo(this.#servers.start(tls));
    this.#servers.drain(before, this.#front.connectionsOf(before));
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const { clock } = this.#options;
    this.#front.close();
    this.#servers.closing = true;
    const untilMs = clock.monotonicMs() + deadlineMs;
    while (this.inFlight > 0 && clock.monotonicMs() < untilMs) await clock.sleep(stopPollMs);
    await this.#servers.stopAll();
    this.#front.cut();
  }
}

/** The servers behind the front, by their ports: the present one, and those that wait for their connections to go. */
class Servers {
  readonly #options: DrainingListenerOptions;
  readonly #running = new Map<number, HttpServer>();
  /** With what ends each one's time. */
  readonly #draining = new Map<number, () => void>();
  present = 0;
  /** Every answer says that it is the connection's last. */
  closing = false;

  constructor(options: DrainingListenerOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return [...this.#running.values()].reduce((sum, server) => sum + server.pendingRequests, 0);
  }

  /** Starts one, which is the present one from now on; its port. */
  start(tls: TlsMaterial): number {
    const { idleTimeoutMs = idleTimeoutMsDefault } = this.#options;
    const behind = { ...this.#options, idleTimeoutMs, address: { hostname: "127.0.0.1", port: 0 } };
    const server = serve(behind, 0, tls, this.#handle);
    this.present = server.port ?? 0;
    this.#running.set(this.present, server);
    return this.present;
  }

  /** Lets a replaced one go on for the connections that it has. */
  drain(port: number, connections: number): void {
    const { clock, drainMs = drainMsDefault } = this.#options;
    this.#draining.set(
      port,
      clock.after(drainMs, () => this.#stop(port)),
    );
    if (connections === 0) this.#stop(port);
    for (const oldest of this.#draining.keys()) if (this.#draining.size > drainingMax) this.#stop(oldest);
  }

  emptied(port: number): void {
    if (this.#draining.has(port)) this.#stop(port);
  }

  async stopAll(): Promise<void> {
    for (const cancel of this.#draining.values()) cancel();
    this.#draining.clear();
    await Promise.all([...this.#running.values()].map((server) => server.stop(true)));
    this.#running.clear();
  }

  #stop(port: number): void {
    this.#draining.get(port)?.();
    this.#draining.delete(port);
    // With what it is still answering; who has been silent for so long is cut.
    void this.#running.get(port)?.stop(false);
    this.#running.delete(port);
  }

  #handle = async (request: Request, server: HttpServer): Promise<Response> => {
    try {
      const { handle } = this.#options;
      const response = await handle(request, { withoutIdleTimeout: () => server.timeout(request, 0) });
      if (this.closing || server.port !== this.present) response.headers.set("connection", "close");
      return response;
    } catch (error) {
      this.#options.onError?.(error);
      return problemResponse(error);
    }
  };
}
