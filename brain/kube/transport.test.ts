import { afterEach, describe, expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { type Clock, systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { expectCode } from "../store/conformance-objects.ts";
import { until } from "../testing/processes.ts";
import { KubeTransport, type TransportLimits } from "./transport.ts";

type Answer = (request: Request, count: number) => Response | Promise<Response>;

const status = (
  code: number,
  reason: string,
  more: Record<string, unknown> = {},
  headers: Record<string, string> = {},
) => Response.json({ kind: "Status", code, reason, message: `said ${reason}`, ...more }, { status: code, headers });

describe("requests", () => {
  let server: ReturnType<typeof Bun.serve> | undefined;
  let requests: Request[] = [];
  afterEach(async () => {
    await server?.stop(true);
    requests = [];
  });

  function transport(answer: Answer, limits: Partial<TransportLimits> = {}, clock: Clock = systemClock) {
    server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request) => {
        requests.push(request);
        return answer(request, requests.length);
      },
    });
    let tokens = 0;
    const access = {
      server: `http://127.0.0.1:${server.port}`,
      namespace: "default",
      source: "test",
      credentials: async (anew = false) => {
        if (anew) tokens += 1;
        return { headers: { authorization: `Bearer token-${tokens}` }, tls: {} };
      },
    };
    const attempts: number[] = [];
    const made = new KubeTransport({
      access,
      clock,
      prng: seededPrng(1),
      limits: { pauseMs: 1, pauseMsMax: 2, ...limits },
      onAttempt: (attempt) => attempts.push(attempt.status),
    });
    return { transport: made, attempts };
  }

  const get = { method: "GET" as const, path: "/api" };
  const post = { method: "POST" as const, path: "/api", body: { a: 1 } };

  test("an urgent call does not wait behind others that hang: a leader's lease does not depend on how busy it is", async () => {
    const hanging = Promise.withResolvers<Response>();
    const answer: Answer = (request) => (request.method === "GET" ? hanging.promise : Response.json({ ok: true }));
    const { transport: made } = transport(answer, { inFlightMax: 1 });
    const first = made.request(get);
    await until("it hangs", () => requests.length === 1);
    const stop = new AbortController();
    const waiting = made.request({ ...post, signal: stop.signal });
    expect(await made.request<object>({ ...post, urgent: true })).toEqual({ ok: true });
    expect(requests.map(({ method }) => method)).toEqual(["GET", "POST"]);
    stop.abort();
    await expectCode(waiting, "Cancelled");
    hanging.resolve(Response.json({}));
    await first;
  });

  test("refusals become typed errors with the API server's words, fields and pauses", async () => {
    const details = { causes: [{ field: "spec.k", message: "must be at least 2", reason: "FieldValueInvalid" }] };
    const cases: [Response, string, boolean, Record<string, unknown>][] = [
      [status(404, "NotFound"), "NotFound", false, { reason: "NotFound" }],
      [new Response("404 page not found", { status: 404 }), "NotFound", false, { status: 404 }],
      [status(409, "AlreadyExists"), "AlreadyExists", false, {}],
      [status(409, "Conflict"), "Conflict", false, {}],
      [status(410, "Expired"), "Conflict", false, { status: 410 }],
      [status(422, "Invalid", { details }), "InvalidArgument", false, { field: "spec.k", causes: details.causes }],
      [status(403, "Forbidden"), "FailedPrecondition", false, { reason: "Forbidden" }],
      [status(413, "RequestEntityTooLarge"), "TooLarge", false, {}],
      [status(500, "InternalError"), "Unavailable", true, {}],
      [status(503, "ServiceUnavailable", {}, { "retry-after": "3" }), "Unavailable", true, { retryAfterMs: 3000 }],
      [status(504, "Timeout", { details: { retryAfterSeconds: 2 } }), "Timeout", true, { retryAfterMs: 2000 }],
      [new Response("<html>proxy</html>", { status: 502 }), "Unavailable", true, {}],
    ];
    for (const [answer, code, retryable, data] of cases) {
      const { transport: made } = transport(() => answer.clone() as Response);
      const error = await made.request(post).catch((reason: unknown) => reason);
      if (!isAppError(error)) throw new Error(`${code}: got ${error}`);
      expect({ code: error.code as string, retryable: error.retryable }).toEqual({ code, retryable });
      expect(error.data).toMatchObject(data);
      await server?.stop(true);
    }
  });

  test("questions are asked again when the server fails, writes are not", async () => {
    const once: Answer = (_, count) => (count === 1 ? status(500, "InternalError") : Response.json({ ok: true }));
    const asking = transport(once);
    expect(await asking.transport.request<{ ok: boolean }>(get)).toEqual({ ok: true });
    expect(asking.attempts).toEqual([500, 200]);
    await server?.stop(true);
    requests = [];
    const writing = transport(once);
    await expectCode(writing.transport.request(post), "Unavailable");
    expect(requests).toHaveLength(1);
  });

  test("429 says that nothing happened: a write is sent again after the pause it asks for", async () => {
    const { transport: made } = transport((_, count) =>
      count === 1
        ? status(429, "TooManyRequests", { details: { retryAfterSeconds: 0.05 } })
        : Response.json({ ok: true }),
    );
    const startMs = systemClock.monotonicMs();
    await made.request(post);
    expect(systemClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(49);
    expect(requests).toHaveLength(2);
  });

  test("a pause longer than the limit is the caller's to take", async () => {
    const { transport: made } = transport(() => status(429, "TooManyRequests", {}, { "retry-after": "60" }));
    const error = await expectCode(made.request(get), "Unavailable");
    expect(error.data["retryAfterMs"]).toBe(60_000);
    expect(requests).toHaveLength(1);
  });

  test("a refused token is read again once", async () => {
    const { transport: made } = transport((request) =>
      request.headers.get("authorization") === "Bearer token-1"
        ? Response.json({ ok: true })
        : status(401, "Unauthorized"),
    );
    expect(await made.request<{ ok: boolean }>(post)).toEqual({ ok: true });
    await server?.stop(true);
    const never = transport(() => status(401, "Unauthorized"));
    requests = [];
    await expectCode(never.transport.request(get), "FailedPrecondition");
    expect(requests).toHaveLength(2);
  });

  test("an answer that doesn't come is a Timeout, a call that is given up is Cancelled", async () => {
    const clock = new FakeClock();
    const timeoutMs = 60_000;
    const { transport: made } = transport(() => new Promise(() => undefined), { timeoutMs, attemptsMax: 2 }, clock);
    const late = expectCode(made.request(get), "Timeout");
    await until("the request is there", () => requests.length === 1);
    await clock.advance(timeoutMs);
    await until("the second attempt is there, after its pause", async () => {
      await clock.advance(1);
      return requests.length === 2;
    });
    await clock.advance(timeoutMs);
    await late;
    const controller = new AbortController();
    const call = expectCode(made.request({ ...get, signal: controller.signal }), "Cancelled");
    await until("the request is there", () => requests.length === 3);
    controller.abort();
    await call;
  });

  test("no more are in flight than allowed, and whoever waits can be given up", async () => {
    let inFlight = 0;
    let most = 0;
    const gate = Promise.withResolvers<void>();
    const { transport: made } = transport(
      async () => {
        most = Math.max(most, ++inFlight);
        await gate.promise;
        inFlight -= 1;
        return Response.json({});
      },
      { inFlightMax: 2 },
    );
    const calls = Array.from({ length: 6 }, () => made.request(get));
    await until("two are in flight", () => inFlight === 2);
    const controller = new AbortController();
    const waiting = made.request({ ...get, signal: controller.signal });
    controller.abort();
    await expectCode(waiting, "Cancelled");
    gate.resolve();
    await Promise.all(calls);
    expect(most).toBe(2);
  });

  test("an answer beyond the limit of bytes is refused", async () => {
    const { transport: made } = transport(() => Response.json({ big: "x".repeat(2000) }), { answerBytesMax: 1000 });
    await expectCode(made.request(get), "TooLarge");
  });

  test("a server that isn't there is Unavailable and says where", async () => {
    const { transport: made } = transport(() => Response.json({}), { attemptsMax: 1 });
    await server?.stop(true);
    const error = await expectCode(made.request(get), "Unavailable");
    expect(error.message).toContain("127.0.0.1");
  });

  test("what must not leave any more doesn't", async () => {
    const { transport: made } = transport(() => Response.json({}));
    const before = () => {
      throw new Error("no");
    };
    await expect(made.request({ ...post, before })).rejects.toThrow("no");
    expect(requests).toHaveLength(0);
  });
});
