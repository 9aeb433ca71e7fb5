/**
 * What may stand between the brain and Prometheus or Mayastor: a proxy with TLS, a client's certificate and a token, and answers that are
 * late, of another kind, without numbers, or without end.
 */
import { systemClock } from "@couchestor/common/runtime/clock.ts";

export type GateMode = "pass" | "silent" | "html" | "nan" | "inf" | "million";

export interface GateOptions {
  /** Where requests are handed on to. */
  upstream: () => string;
  /** Its own certificate, and the authority of the clients it lets in. */
  tls?: { cert: string; key: string; clientCa?: string };
}

const seriesPerPiece = 1_000;

export class Gate implements AsyncDisposable {
  mode: GateMode = "pass";
  /** Before each answer. */
  delayMs = 0;
  /** The only token that is let in; undefined: anybody. */
  token: string | undefined;
  /** Requests by what became of them. */
  readonly counts = { handedOn: 0, refused: 0, spoiled: 0 };
  readonly #options: GateOptions;
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor(options: GateOptions) {
    const { tls } = options;
    this.#options = options;
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      ...(tls === undefined
        ? {}
        : {
            tls: {
              ...{ cert: tls.cert, key: tls.key },
              ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
            },
          }),
      fetch: (request) => this.#answer(request),
    });
  }

  get url(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://127.0.0.1:${this.#server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }

  async #answer(request: Request): Promise<Response> {
    if (this.token !== undefined && request.headers.get("authorization") !== `Bearer ${this.token}`) {
      this.counts.refused += 1;
      return new Response("Unauthorized\n", { status: 401 });
    }
    if (this.delayMs > 0) await systemClock.sleep(this.delayMs);
    if (this.mode === "pass") {
      this.counts.handedOn += 1;
      return await this.#handOn(request);
    }
    this.counts.spoiled += 1;
    switch (this.mode) {
      case "silent":
        return await new Promise<Response>(() => undefined);
      case "html":
        return new Response("<html>Please log in</html>", { headers: { "content-type": "text/html" } });
      case "million":
        return new Response(manySeries(1_000_000), { headers: { "content-type": "application/json" } });
      default:
        return await this.#spoiled(request, this.mode === "nan" ? "NaN" : "+Inf");
    }
  }

  async #handOn(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const answer = await fetch(`${this.#options.upstream()}${pathname}${search}`, { method: request.method });
    const headers = { "content-type": answer.headers.get("content-type") ?? "text/plain" };
    return new Response(await answer.arrayBuffer(), { status: answer.status, headers });
  }

  /** What Prometheus says of rates, with another value in place of each. */
  async #spoiled(request: Request, value: string): Promise<Response> {
    const answer = await this.#handOn(request);
    const body = (await answer.json()) as { data: { resultType: string; result: { values?: [number, string][] }[] } };
    if (body.data.resultType === "matrix")
      for (const series of body.data.result) series.values = series.values?.map(([at]) => [at, value]) ?? [];
    return Response.json(body, { status: answer.status });
  }
}

/** An instant query's answer with so many series, as fast as it is read. */
function manySeries(count: number): ReadableStream<Uint8Array> {
  const one = JSON.stringify({ metric: { pv_name: "pvc-00000000-0000-4000-8000-000000000000" }, value: [1, "1"] });
  const piece = Buffer.from(`${one},`.repeat(seriesPerPiece));
  let sent = 0;
  return new ReadableStream<Uint8Array>({
    start: (controller) =>
      controller.enqueue(Buffer.from('{"status":"success","data":{"resultType":"vector","result":[')),
    pull(controller) {
      controller.enqueue(piece);
      sent += seriesPerPiece;
      if (sent < count) return;
      controller.enqueue(Buffer.from(`${one}]}}`));
      controller.close();
    },
  });
}
