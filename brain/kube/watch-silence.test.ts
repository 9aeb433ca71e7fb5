/** Watches of an API server that takes connections and says nothing, as one does whose storage was put back to an older state. */
import { afterEach, expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { expectCode } from "../store/conformance-objects.ts";
import { KubeClient } from "./client.ts";
import { kubeTypes } from "./objects.ts";
import { isExpired } from "./status-error.ts";
import { KubeTransport } from "./transport.ts";
import { followChanges } from "./watch.ts";

let server: ReturnType<typeof Bun.serve> | undefined;
afterEach(async () => {
  await server?.stop(true);
});

/** Follows a server each of whose connections says `line` and then nothing. */
function follow(line: string, idleMsMax: number, signal: AbortSignal) {
  const from: (string | null)[] = [];
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: (request) => {
      from.push(new URL(request.url).searchParams.get("resourceVersion"));
      const body = new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode(`${line}\n`)) });
      return new Response(body, { headers: { "content-type": "application/json" } });
    },
  });
  const access = {
    server: `http://127.0.0.1:${server.port}`,
    namespace: "default",
    source: "test",
    credentials: async () => ({ headers: {}, tls: {} }),
  };
  const deps = { clock: systemClock, prng: seededPrng(1) };
  const client = new KubeClient(new KubeTransport({ access, ...deps }));
  const limits = { idleMsMax, pauseMs: 1, pauseMsMax: 2 };
  const changes = followChanges({ client, ...deps }, kubeTypes.node, { resourceVersion: "900", signal, limits });
  return { changes, from };
}

test("a revision behind which nothing is said, not even a bookmark, is given up: what was deleted would be missed for ever", async () => {
  const { changes, from } = follow("", 200, new AbortController().signal);
  const error = await expectCode(changes.next(), "Conflict");
  expect(isExpired(error)).toBe(true);
  expect(error.message).toContain("revision 900");
  expect(from.length).toBeGreaterThanOrEqual(2);
  expect(new Set(from)).toEqual(new Set(["900"]));
});

test("connections that die after a bookmark each are only connected again", async () => {
  const stop = new AbortController();
  const bookmark = { type: "BOOKMARK", object: { metadata: { name: "", resourceVersion: "901" } } };
  const { changes, from } = follow(JSON.stringify(bookmark), 1_000, stop.signal);
  for (let i = 0; i < 3; i++) expect((await changes.next()).value?.resourceVersion).toBe("901");
  stop.abort();
  expect(from).toEqual(["900", "901", "901"]);
});
