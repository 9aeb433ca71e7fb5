import { afterEach, expect, test } from "bun:test";
import { z } from "zod";
import { AppError } from "../errors/app-error.ts";
import { systemClock } from "../runtime/clock.ts";
import { type ClientOptions, createClient } from "./client.ts";
import { type Listener, parseListenAddress, startListener } from "./listener.ts";
import type { ListenerOptions } from "./listener-options.ts";
import { readBounded } from "./read-bounded.ts";

const open: Listener[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.stop(0);
});

const settings = { timeoutMs: 2_000, attemptsMax: 3, pauseMs: 1, pauseMsMax: 2, failuresToOpen: 50, openMs: 10 };
const numberSchema = z.strictObject({ n: z.number() });

function listen(handle: ListenerOptions["handle"], more: Partial<ListenerOptions> = {}): Listener {
  const address = { hostname: "127.0.0.1", port: 0 };
  const options = { name: "test", address, tlsFlags: "--x", bodyBytesMax: 1000, clock: systemClock, handle, ...more };
  const listener = startListener(options);
  open.push(listener);
  return listener;
}

function clientOf(listener: Listener, more: Partial<ClientOptions> = {}) {
  return createClient({ peer: "n1", baseUrl: listener.url, policy: settings, ...more });
}

test("an answer is checked, and a wrong one is the peer's fault", async () => {
  const client = clientOf(listen(() => Response.json({ n: "one" })));
  await expect(client.json("GET", "/x", numberSchema)).rejects.toMatchObject({
    code: "Internal",
    message: expect.stringMatching(/answer of n1 to GET \/x: n: got "one", allowed is number/),
  });
});

test("HTML, nonsense and an empty answer say what came", async () => {
  const html = "<html><body>Welcome to nginx</body></html>";
  const client = clientOf(
    listen((request) =>
      request.url.endsWith("html")
        ? new Response(html, { headers: { "content-type": "text/html" } })
        : new Response(""),
    ),
  );
  await expect(client.json("GET", "/html", numberSchema)).rejects.toThrow(
    /is not JSON: 42 bytes of text\/html.*Welcome to nginx/,
  );
  await expect(client.json("GET", "/none", numberSchema)).rejects.toThrow("is not JSON: 0 bytes");
});

test("a problem becomes the error it was", async () => {
  const client = clientOf(
    listen(() => {
      throw new AppError("NoSpace", "pool p1 is full", { data: { pool: "p1" } });
    }),
  );
  await expect(client.json("GET", "/", numberSchema)).rejects.toMatchObject({
    code: "NoSpace",
    message: "pool p1 is full",
    data: { pool: "p1" },
  });
});

test("only what is idempotent is repeated", async () => {
  let calls = 0;
  const client = clientOf(
    listen(() => {
      calls++;
      if (calls % 2 === 1) throw new AppError("Unavailable", "starting");
      return Response.json({ n: calls });
    }),
  );
  expect(await client.json("GET", "/", numberSchema)).toEqual({ n: 2 });
  await expect(client.json("POST", "/", numberSchema, { body: {} })).rejects.toMatchObject({ code: "Unavailable" });
  expect(calls).toBe(3);
});

test("a peer that isn't there, hangs, or answers too much is bounded", async () => {
  const gone = listen(() => new Response());
  await gone.stop(0);
  await expect(clientOf(gone).json("GET", "/", numberSchema)).rejects.toThrow(
    /n1 can't be reached at http.*: connection refused, nothing listens there$/,
  );
  const hung = listen(() => new Promise<Response>(() => undefined));
  const quick = { ...settings, timeoutMs: 50, attemptsMax: 1 };
  await expect(clientOf(hung, { policy: quick }).json("GET", "/", numberSchema)).rejects.toMatchObject({
    code: "Timeout",
  });
  const big = listen(() => new Response(new Uint8Array(5000)));
  await expect(clientOf(big).bytes("GET", "/", { answerBytesMax: 4999 })).rejects.toMatchObject({ code: "TooLarge" });
  expect((await clientOf(big).bytes("GET", "/", { answerBytesMax: 5000 })).bytes.byteLength).toBe(5000);
});

test("a caller that gives up gets Cancelled or its own reason, and the peer sees the end", async () => {
  const aborted = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const listener = listen((request) => {
    request.signal.addEventListener("abort", () => aborted.resolve());
    arrived.resolve();
    return new Promise<Response>(() => undefined);
  });
  const caller = new AbortController();
  const call = clientOf(listener).bytes("GET", "/", { signal: caller.signal });
  await arrived.promise;
  caller.abort();
  await expect(call).rejects.toBeDefined();
  await aborted.promise;
});

test("a body above the limit is refused before the handler sees it", async () => {
  let handled = 0;
  const listener = listen(async (request) => {
    handled++;
    return new Response(String((await request.bytes()).length));
  });
  const answer = await fetch(listener.url, { method: "PUT", body: new Uint8Array(1001) });
  expect(answer.status).toBe(413);
  expect(handled).toBe(0);
});

test("stop lets a request finish, takes no new one, and cuts off what is late", async () => {
  const gate = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const listener = listen(async () => {
    arrived.resolve();
    await gate.promise;
    return new Response("done");
  });
  const call = fetch(listener.url);
  await arrived.promise;
  expect(listener.inFlight).toBe(1);
  const stopped = listener.stop(5_000);
  await expect(fetch(listener.url, { keepalive: false })).rejects.toThrow();
  gate.resolve();
  expect(await (await call).text()).toBe("done");
  await stopped;

  const late = listen(() => new Promise<Response>(() => undefined));
  const hanging = fetch(late.url).catch(() => "cut off");
  while (late.inFlight === 0) await new Promise<void>((resolve) => setImmediate(resolve));
  await late.stop(20);
  expect(await hanging).toBe("cut off");
});

test("a body is read within its limits of bytes and time, whole or not at all", async () => {
  const stream = (...pieces: number[]) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (const n of pieces) controller.enqueue(new Uint8Array(n).fill(n));
        controller.close();
      },
    });
  const what = "the body";
  const declared = (n: number) => new Headers({ "content-length": String(n) });
  expect([...(await readBounded(stream(1, 2), { bytesMax: 3, what }))]).toEqual([1, 2, 2]);
  expect([...(await readBounded(stream(1, 2), { bytesMax: 3, what, declared: declared(3) }))]).toEqual([1, 2, 2]);
  await expect(readBounded(stream(2, 2), { bytesMax: 3, what })).rejects.toMatchObject({ code: "TooLarge" });
  await expect(readBounded(stream(2), { bytesMax: 3, what, declared: declared(4) })).rejects.toMatchObject({
    code: "TooLarge",
  });
  await expect(readBounded(stream(2), { bytesMax: 3, what, declared: declared(3) })).rejects.toThrow(
    "ended after 2 of 3 bytes",
  );
  const endless = new ReadableStream<Uint8Array>({});
  await expect(
    readBounded(endless, { bytesMax: 3, what, deadline: { clock: systemClock, ms: 10 } }),
  ).rejects.toMatchObject({ code: "Timeout" });
});

test("listen addresses", () => {
  expect(parseListenAddress("127.0.0.1:0", "--listen")).toEqual({ hostname: "127.0.0.1", port: 0 });
  expect(parseListenAddress("[::1]:80", "--listen")).toEqual({ hostname: "::1", port: 80 });
  expect(parseListenAddress(":8080", "--listen")).toEqual({ hostname: "0.0.0.0", port: 8080 });
  for (const bad of ["", "8080", "host:", "a:70000", "a b:1", "http://x:1"]) {
    expect(() => parseListenAddress(bad, "--listen")).toThrow(`--listen: got "${bad}"`);
  }
});
