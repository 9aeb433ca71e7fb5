/**
 * One HTTP listener: limits, mutual TLS off loopback, and a stop that lets requests under way finish.
 * Who may call it is decided by its CAs alone; so each role's calls have a listener of their own.
 */
import { AppError } from "../errors/app-error.ts";
import { problemResponse } from "../errors/http.ts";
import type { TlsMaterial } from "../tls/material.ts";
import type { ListenAddress, ListenerOptions } from "./listener-options.ts";
import { type HttpServer, listenError, serve, urlOf } from "./serve.ts";

export interface Listener {
  readonly name: string;
  readonly hostname: string;
  readonly port: number;
  /** `https://127.0.0.1:4321`, no slash at the end. For a wildcard address: this machine's loopback. */
  readonly url: string;
  /** Requests under way. */
  readonly inFlight: number;
  /** Takes new certificates: new connections get them, the ones there are go on with the old until they close. */
  replaceTls(tls: TlsMaterial): void;
  /** Stops accepting, waits at most `deadlineMs` for requests under way, then closes what is left. */
  stop(deadlineMs: number): Promise<void>;
}

/** Whether only processes of this machine can reach `hostname`. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname);
}

/** Parses `HOST:PORT`, `:PORT` (all addresses), `[::1]:0`. Throws `InvalidArgument` naming `what`. */
export function parseListenAddress(text: string, what: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new AppError(
      "InvalidArgument",
      `${what}: got "${text}", allowed is HOST:PORT with a port of 0 … 65535, such as 127.0.0.1:0, [::1]:8080 or :8080`,
      { data: { field: what, came: text } },
    );
  }
  return { hostname: match[1] ?? (match[2] === "" || match[2] === undefined ? "0.0.0.0" : match[2]), port };
}

/** Starts to listen. Throws `InvalidArgument` (off loopback without TLS, bad certificates) or `Unavailable` (address in use). */
export function startListener(options: ListenerOptions): Listener {
  return new BunListener(options);
}

/** How often a stop looks whether requests are still under way. */
const stopPollMs = 10;

class BunListener implements Listener {
  readonly name: string;
  readonly hostname: string;
  readonly port: number;
  readonly url: string;
  readonly #options: ListenerOptions;
  /** The one that accepts is the last; those before it finish what they have with older certificates. */
  #servers: HttpServer[];
  #stopping = false;

  constructor(options: ListenerOptions) {
    const { hostname, port } = options.address;
    if (!isLoopback(hostname) && options.tls === undefined && options.plainAllowed !== true) {
      throw new AppError(
        "InvalidArgument",
        `the ${options.name} listener would be reachable from other machines (${hostname}) without TLS: give ${options.tlsFlags}, or listen on 127.0.0.1`,
        { data: { listener: options.name, hostname, flags: options.tlsFlags } },
      );
    }
    this.name = options.name;
    this.#options = options;
    if (options.tls !== undefined && port !== 0) refuseSharedPort(options);
    const server = serve(options, port, options.tls, this.#handle);
    this.#servers = [server];
    this.hostname = hostname;
    this.port = server.port ?? port;
    this.url = urlOf(hostname, this.port, options.tls !== undefined);
  }

  get inFlight(): number {
    return this.#servers.reduce((sum, server) => sum + server.pendingRequests, 0);
  }

  replaceTls(tls: TlsMaterial): void {
    if (this.#stopping) return;
    const next = serve(this.#options, this.port, tls, this.#handle);
    for (const server of this.#servers) void server.stop(false);
    this.#servers = [...this.#servers.filter((server) => server.pendingRequests > 0), next];
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const { clock } = this.#options;
    for (const server of this.#servers) void server.stop(false);
    const untilMs = clock.monotonicMs() + deadlineMs;
    while (this.inFlight > 0 && clock.monotonicMs() < untilMs) await clock.sleep(stopPollMs);
    // What is left is late, or an idle connection that its client keeps open.
    await Promise.all(this.#servers.map((server) => server.stop(true)));
  }

  #handle = async (request: Request, server: HttpServer): Promise<Response> => {
    try {
      const response = await this.#options.handle(request, { withoutIdleTimeout: () => server.timeout(request, 0) });
      if (this.#stopping) response.headers.set("connection", "close");
      return response;
    } catch (error) {
      this.#options.onError?.(error);
      return problemResponse(error);
    }
  };
}

/** With `reusePort` a second daemon on the same port would get half of the first one's connections: find out beforehand. */
function refuseSharedPort(options: ListenerOptions): void {
  const { hostname, port } = options.address;
  try {
    Bun.listen({ hostname, port, socket: { data() {} } }).stop(true);
  } catch (error) {
    throw listenError(error, options.name, options.address);
  }
}
