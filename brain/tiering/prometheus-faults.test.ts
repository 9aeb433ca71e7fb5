import { describe, expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { PrometheusApi, prometheusPolicy } from "./prometheus-api.ts";
import { PrometheusHeat } from "./prometheus-heat.ts";

type Answer = (url: URL) => Response | Promise<Response>;

const once = { ...prometheusPolicy, attemptsMax: 1 };

async function against<T>(answer: Answer, body: (url: string, calls: () => number) => Promise<T>): Promise<T> {
  let calls = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      calls += 1;
      return answer(new URL(request.url));
    },
  });
  try {
    return await body(`http://127.0.0.1:${server.port}`, () => calls);
  } finally {
    await server.stop(true);
  }
}

/** What an instant query fails with. */
async function failure(answer: Answer, more: object = {}): Promise<{ code: string; message: string }> {
  return await against(answer, async (url) => {
    const api = new PrometheusApi(new FakeClock(), { url, policy: once, ...more });
    const error = await api.instant("x").catch((e: unknown) => e);
    if (!isAppError(error)) throw new Error(`no AppError: ${error}`);
    return { code: error.code, message: error.message };
  });
}

const success = (resultType: string, result: unknown): Response =>
  Response.json({ status: "success", data: { resultType, result } });

describe("a Prometheus that is not well", () => {
  test("HTML of a proxy says what came", async () => {
    const html = () => new Response("<html>login</html>", { headers: { "content-type": "text/html" } });
    const { code, message } = await failure(html);
    expect(code).toBe("Internal");
    expect(message).toContain('text/html, beginning "<html>login</html>"');
  });

  test("its own errors are repeated in its words", async () => {
    const said = { status: "error", errorType: "bad_data", error: "parse error: unexpected end" };
    const { message } = await failure(() => Response.json(said, { status: 400 }));
    expect(message).toBe("Prometheus: bad_data: parse error: unexpected end");
    const busy = { status: "error", errorType: "timeout", error: "query timed out" };
    expect((await failure(() => Response.json(busy, { status: 503 }))).code).toBe("Unavailable");
  });

  test("one that wants to know who asks says what to give it, whatever page comes with the refusal", async () => {
    for (const status of [401, 403]) {
      const { code, message } = await failure(() => new Response("<html>Unauthorized</html>", { status }));
      expect(code).toBe("FailedPrecondition");
      expect(message).toContain(`refuses the brain (${status}): give it a token with --prometheus-token-file`);
    }
  });

  test("one that hangs is given up", async () => {
    const policy = { ...once, timeoutMs: 200 };
    expect((await failure(() => new Promise<Response>(() => undefined), { policy })).code).toBe("Timeout");
  });

  test("answers of another form are refused, whatever they are", async () => {
    for (const answer of [
      success("matrix", []),
      success("vector", [{ metric: {}, value: [1] }]),
      success("vector", [null]),
      success("vector", {}),
      Response.json({ status: "success" }),
      Response.json([]),
      new Response("null"),
    ]) {
      expect((await failure(() => answer)).code).toBe("Internal");
    }
    await against(
      () => success("matrix", [{ metric: {}, values: [[1, 2]] }]),
      async (url) => {
        const api = new PrometheusApi(new FakeClock(), { url, policy: once });
        await expect(api.range("x", { startMs: 0, endMs: 1, stepMs: 1 })).rejects.toThrow(/not \[time, text\]/);
      },
    );
  });

  test("series without end are not taken into memory", async () => {
    const series = new TextEncoder().encode(
      `${JSON.stringify({ metric: { pv_name: "pvc-00000000-0000-0000-0000-000000000000" }, value: [1, "1"] })},`.repeat(
        1000,
      ),
    );
    // Without an end, so that who would take it whole would never be done.
    const endless = () => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) =>
          controller.enqueue(Buffer.from('{"status":"success","data":{"resultType":"vector","result":[')),
        pull: (controller) => controller.enqueue(series),
      });
      return new Response(body, { headers: { "content-type": "application/json" } });
    };
    const { code, message } = await failure(endless, { answerBytesMax: 16 * 1024 * 1024 });
    expect(code).toBe("TooLarge");
    expect(message).toContain("narrow the series down");
    const many = Array.from({ length: 11 }, () => ({ metric: {}, value: [1, "1"] }));
    expect((await failure(() => success("vector", many), { seriesMax: 10 })).message).toContain(
      "11 series, at most 10",
    );
  });

  test("after five failures in a row it is left alone for a while", async () => {
    await against(
      () => new Response("no", { status: 502 }),
      async (url, calls) => {
        const api = new PrometheusApi(new FakeClock(), { url, policy: once });
        for (let i = 0; i < 8; i++) await api.ping().catch(() => undefined);
        expect(calls()).toBe(5);
        await expect(api.ping()).rejects.toThrow(/failed 5 times in a row/);
      },
    );
  });

  test("is not asked more often than allowed", async () => {
    await against(
      () => success("vector", []),
      async (url, calls) => {
        const clock = new FakeClock();
        const api = new PrometheusApi(clock, { url, policy: once, ratePerSecond: 2, burst: 3 });
        const asked = Promise.all(Array.from({ length: 7 }, () => api.ping()));
        await clock.advance(0);
        expect(calls()).toBeLessThanOrEqual(3);
        for (let i = 0; i < 200 && calls() < 7; i++) await clock.advance(20);
        await asked;
        expect(clock.monotonicMs()).toBeGreaterThanOrEqual(1_900);
      },
    );
  });
});

describe("numbers that are none", () => {
  const volumes = ["pvc-nan", "pvc-inf", "pvc-twice", "pvc-fine"];
  const answers: Answer = (url) => {
    const query = url.searchParams.get("query") ?? "";
    const all = (value: string) => volumes.map((pv_name) => ({ metric: { pv_name }, value: [1000, value] }));
    if (query.includes("vector(time())"))
      return success("vector", [...all("995"), { metric: {}, value: [1000, "1000"] }]);
    if (query.includes("count_over_time")) return success("vector", all("40"));
    if (query.includes("up == bool 0")) return success("vector", []);
    const start = Number(url.searchParams.get("start"));
    const step = Number(url.searchParams.get("step"));
    const values = (at3: string) => Array.from({ length: 11 }, (_, i) => [start + i * step, i === 3 ? at3 : "10"]);
    const series = { "pvc-nan": "NaN", "pvc-inf": "+Inf", "pvc-twice": "10", "pvc-fine": "1e1" };
    const matrix = Object.entries(series).map(([pv_name, at3]) => ({ metric: { pv_name }, values: values(at3) }));
    return success("matrix", [...matrix, { metric: { pv_name: "pvc-twice" }, values: values("10") }]);
  };

  test("make their volume Unknown and no other", async () => {
    await against(answers, async (url) => {
      const snapshot = await new PrometheusHeat(new FakeClock(), { url }).snapshot(600_000);
      expect(snapshot.of(["pvc-nan"])).toMatchObject({ kind: "unknown", reason: "NotANumber" });
      expect(snapshot.of(["pvc-inf"])).toMatchObject({ kind: "unknown", reason: "NotANumber" });
      expect(snapshot.of(["pvc-twice"])).toMatchObject({ kind: "unknown", reason: "Duplicate" });
      const fine = snapshot.of(["pvc-fine"]);
      expect(fine.kind === "score" && fine.iops).toBeCloseTo(20, 9);
    });
  });
});
