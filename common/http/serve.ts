/** One server of the runtime's, with the limits of a listener; and what to say when it can't be had. */
import { AppError } from "../errors/app-error.ts";
import { problemResponse } from "../errors/http.ts";
import type { TlsMaterial } from "../tls/material.ts";
import type { ListenAddress, ListenerOptions } from "./listener-options.ts";

export type HttpServer = ReturnType<typeof Bun.serve>;

/** Starts a server at `port`, with the limits of `options`. Throws what keeps it from listening, in words. */
export function serve(
  options: ListenerOptions,
  port: number,
  tls: TlsMaterial | undefined,
  handle: (request: Request, server: HttpServer) => Promise<Response>,
): HttpServer {
  const { address, bodyBytesMax, idleTimeoutMs = 30_000, name } = options;
  try {
    return Bun.serve({
      hostname: address.hostname,
      port,
      // A second server with new certificates takes the port over from the first.
      reusePort: tls !== undefined,
      maxRequestBodySize: bodyBytesMax,
      idleTimeout: Math.min(255, Math.max(1, Math.ceil(idleTimeoutMs / 1000))),
      development: false,
      ...(tls === undefined ? {} : { tls: options.anyClient ? { cert: tls.cert, key: tls.key } : mutual(tls) }),
      fetch: handle,
      error: (error) => problemResponse(error),
    });
  } catch (error) {
    throw listenError(error, name, address);
  }
}

function mutual({ cert, key, ca }: TlsMaterial) {
  return { cert, key, ca, requestCert: true, rejectUnauthorized: true };
}

/** Why an address can't be listened on, in words. */
export function listenError(error: unknown, name: string, address: ListenAddress): AppError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "unknown";
  const data = { listener: name, hostname: address.hostname, port: address.port, errno: code };
  const where = `the ${name} listener can't listen on ${address.hostname}:${address.port}`;
  if (code === "EADDRINUSE") {
    return new AppError("Unavailable", `${where}: another process has that port`, {
      data,
      cause: error,
      retryable: false,
    });
  }
  const why = error instanceof Error ? error.message : String(error);
  return new AppError("InvalidArgument", `${where}: ${why}`, { data, cause: error });
}

/** Where this machine reaches it. */
export function urlOf(hostname: string, port: number, secure: boolean): string {
  const reachable = hostname === "0.0.0.0" ? "127.0.0.1" : hostname === "::" ? "::1" : hostname;
  const host = reachable.includes(":") ? `[${reachable}]` : reachable;
  return `${secure ? "https" : "http"}://${host}:${port}`;
}
