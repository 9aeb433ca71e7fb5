import { describe, expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { MayastorClient } from "./client.ts";
import { outcomeOf, outcomeOfError } from "./outcome.ts";
import type { MayastorAnswer, MayastorRequest } from "./transport.ts";

const problem = (kind: string, details = "") => ({ kind, details, message: `SvcError :: ${kind}` });
const kindOf = (status: number, body: unknown): string => {
  const outcome = outcomeOf("PUT /x", { status, body });
  return outcome.kind === "refused" ? outcome.why : outcome.kind;
};

describe("what an answer to a change means", () => {
  test("only Mayastor's own refusal is one; everything else may still happen", () => {
    const expected: [number, unknown, string][] = [
      [200, {}, "done"],
      [200, undefined, "done"],
      [200, "<html>welcome</html>", "unknown"],
      [400, problem("InvalidArgument"), "invalid"],
      [401, problem("Unauthorized"), "unauthorized"],
      [404, problem("NotFound"), "notFound"],
      [404, undefined, "noRoute"],
      [404, "<html>404</html>", "unknown"],
      [408, problem("Timeout"), "unknown"],
      [409, problem("Conflict"), "conflict"],
      [412, problem("FailedPrecondition", "ReplicaCountAchieved"), "precondition"],
      [422, problem("AlreadyExists"), "already"],
      [500, problem("Internal"), "unknown"],
      [501, problem("Unimplemented"), "noRoute"],
      [502, "<html>Bad Gateway</html>", "unknown"],
      [503, problem("Aborted", "Timeout expired"), "unknown"],
      [503, problem("Unavailable"), "unknown"],
      [504, problem("DeadlineExceeded"), "unknown"],
      [507, problem("ResourceExhausted", "Not enough suitable pools available, 0/1"), "noPool"],
      [507, problem("ResourceExhausted", "Maximum number of rebuilds reached in the system"), "tooManyRebuilds"],
      [507, problem("FailedPersist"), "unknown"],
      [507, problem("StoreDirty"), "unknown"],
      [507, "insufficient storage", "unknown"],
      [418, problem("Teapot"), "unknown"],
    ];
    expect(expected.map(([status, body]) => [status, body, kindOf(status, body)])).toEqual(expected);
  });

  test("no answer is not known to be anything; what isn't an error of ours is a bug and goes on", () => {
    expect(outcomeOfError(new AppError("Timeout", "late"))).toEqual({ kind: "unknown", message: "late" });
    expect(() => outcomeOfError(new TypeError("bug"))).toThrow("bug");
  });
});

describe("changes", () => {
  const asked: MayastorRequest[] = [];
  const client = (answer: MayastorAnswer | AppError) =>
    new MayastorClient({
      transport: {
        request: (request) => {
          asked.push(request);
          return answer instanceof AppError ? Promise.reject(answer) : Promise.resolve(answer);
        },
      },
    });

  test("are asked for at the paths of the published description, with what names hold escaped", async () => {
    asked.length = 0;
    const made = client({ status: 200, body: {} });
    await made.setReplicaCount("v-1", 3);
    await made.cordonPool("p/1");
    await made.uncordonPool("p/1");
    await made.cordonNode("n 1", "couchestor-a");
    await made.uncordonNode("n 1", "couchestor-a");
    await made.setPoolLabel("p", "a/tier", "h=t");
    await made.removePoolLabel("p", "a/tier");
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "PUT /v0/volumes/v-1/replica_count/3",
      "PUT /v0/pools/p%2F1/cordon",
      "DELETE /v0/pools/p%2F1/cordon",
      "PUT /v0/nodes/n%201/cordon/couchestor-a",
      "DELETE /v0/nodes/n%201/cordon/couchestor-a",
      "PUT /v0/pools/p/label/a%2Ftier=h%3Dt",
      "DELETE /v0/pools/p/label/a%2Ftier",
    ]);
    const replicasOnly = { replicas: true, snapshots: false, restores: false, import: false };
    expect(asked.map(({ body }) => body)).toEqual([
      undefined,
      replicasOnly,
      replicasOnly,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("are made once, whatever becomes of them", async () => {
    for (const answer of [new AppError("Unavailable", "gone"), { status: 503, body: problem("Unavailable") }]) {
      asked.length = 0;
      expect((await client(answer).setReplicaCount("v", 2)).kind).toBe("unknown");
      expect(asked.length).toBe(1);
    }
  });

  test("a rebuild's history that isn't there is none; one that can't be had is an error", async () => {
    const none = await client({ status: 404, body: problem("NotFound") }).rebuildHistory("v");
    const unpublished = await client({ status: 412, body: problem("FailedPrecondition") }).rebuildHistory("v");
    expect([none, unpublished]).toEqual([undefined, undefined]);
    expect(client({ status: 503, body: problem("Unavailable") }).rebuildHistory("v")).rejects.toThrow("Unavailable");
  });
});

test("a change over HTTP is sent once, although reads are repeated", async () => {
  const methods: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      methods.push(`${request.method} ${await request.text()}`);
      return Response.json(problem("Unavailable"), { status: 503 });
    },
  });
  const policy = { timeoutMs: 20_000, attemptsMax: 3, pauseMs: 1, pauseMsMax: 2, failuresToOpen: 50, openMs: 1_000 };
  const client = new MayastorClient({ url: `http://127.0.0.1:${server.port}`, policy });
  expect((await client.cordonPool("p")).kind).toBe("unknown");
  await client.pools().catch(() => undefined);
  await server.stop(true);
  expect(methods).toEqual([
    'PUT {"replicas":true,"snapshots":false,"restores":false,"import":false}',
    "GET ",
    "GET ",
    "GET ",
  ]);
});
