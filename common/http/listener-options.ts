/** What a listener is told: where to listen, who may call, its limits, and what answers. */
import type { Clock } from "../runtime/clock.ts";
import type { TlsMaterial } from "../tls/material.ts";

export interface ListenAddress {
  hostname: string;
  /** 0: the system picks one. */
  port: number;
}

export interface RequestContext {
  /** Switches the idle timeout of this request off: for answers that take long to begin. */
  withoutIdleTimeout(): void;
}

export interface ListenerOptions {
  /** For messages: `cluster`, `admin`. */
  name: string;
  address: ListenAddress;
  /** Server certificate and the CAs whose clients may call. */
  tls?: TlsMaterial | undefined;
  /** The flags that would give it TLS, for the message that refuses to listen without. */
  tlsFlags: string;
  /** With TLS, but callers need no certificate: for what anybody may ask, such as an API server's admission reviews. */
  anyClient?: boolean;
  /** Metrics and probes may be plain off loopback: they serve nothing else. */
  plainAllowed?: boolean;
  /** Larger bodies are refused with 413 before the handler sees them. */
  bodyBytesMax: number;
  /** A connection on which nothing moves for so long is closed. 1 … 255 s. */
  idleTimeoutMs?: number;
  clock: Clock;
  handle: (request: Request, context: RequestContext) => Response | Promise<Response>;
  /** Told of what the handler let escape. */
  onError?: (error: unknown) => void;
}
