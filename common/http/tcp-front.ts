/**
 * Accepts TCP connections at one address and hands each, byte for byte, to the server behind it that is the present one. What was accepted
 * stays with the server it went to: so a server can be replaced without any of its connections being cut.
 */
import { createServer, connect as open, type Server, type Socket } from "node:net";
import type { ListenAddress } from "./listener-options.ts";

export const frontConnectionsMax = 1024;

export class TcpFront {
  readonly #server: Server;
  readonly #connections = new Map<number, Set<Socket>>();
  #onEmpty: (port: number) => void = () => undefined;
  #target: number;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
  }

  /** Listens; connections go to `target`, a port of this machine's loopback interface. Throws the system's error if it can't listen. */
  static async listen(address: ListenAddress, target: number): Promise<TcpFront> {
    const server = createServer();
    const front = new TcpFront(server, target);
    server.maxConnections = frontConnectionsMax;
    server.on("connection", (socket) => front.#accept(socket));
    const listening = Promise.withResolvers<void>();
    server.once("error", listening.reject);
    server.listen(address.port, address.hostname, listening.resolve);
    await listening.promise;
    server.off("error", listening.reject);
    // Such as no file descriptors left: the next connection may be taken again.
    server.on("error", () => undefined);
    return front;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** New connections go there from now on. */
  turnTo(target: number): void {
    this.#target = target;
  }

  /** Connections that a server behind has. */
  connectionsOf(target: number): number {
    return this.#connections.get(target)?.size ?? 0;
  }

  /** Told each time the last connection of a server behind has gone. */
  set onEmpty(told: (target: number) => void) {
    this.#onEmpty = told;
  }

  /** Accepts nothing any more; what was accepted goes on. */
  close(): void {
    this.#server.close();
  }

  /** Cuts what is left. */
  cut(): void {
    for (const sockets of this.#connections.values()) for (const socket of sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    const target = this.#target;
    const sockets = this.#connections.get(target) ?? new Set();
    this.#connections.set(target, sockets.add(socket));
    const behind = open(target, "127.0.0.1");
    // One that breaks takes the other with it; both tell "close" afterwards.
    socket.on("error", () => behind.destroy());
    behind.on("error", () => socket.destroy());
    // Not only its own half: a caller that never closes would keep one of the few connections for ever.
    behind.on("close", () => socket.destroySoon());
    socket.on("close", () => {
      behind.destroy();
      sockets.delete(socket);
      if (sockets.size > 0) return;
      this.#connections.delete(target);
      this.#onEmpty(target);
    });
    socket.setNoDelay(true);
    behind.setNoDelay(true);
    socket.pipe(behind).pipe(socket);
  }
}
