import { expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { nameSchema } from "../api/primitives.ts";
import { FileSystemError } from "../runtime/file-system.ts";
import { hostileValues } from "../testing/arbitraries.ts";
import { AppError, type ErrorCode, errorCodes } from "./app-error.ts";
import { parseOrThrow } from "./from-zod.ts";
import { errorFromProblem, problemContentType, problemResponse, toAppError, toProblem } from "./http.ts";

test("every code survives the way over HTTP with its status, words, data and retryability", async () => {
  for (const code of Object.keys(errorCodes) as ErrorCode[]) {
    const sent = new AppError(code, "pool n1/a is gone", { data: { pool: "n1/a" }, retryable: code.length % 2 === 0 });
    const response = problemResponse(sent);
    expect(response.status).toBe(errorCodes[code]);
    expect(response.headers.get("content-type")).toBe(problemContentType);
    const received = errorFromProblem(response.status, await response.json());
    expect(received).toMatchObject({ code, message: sent.message, data: sent.data, retryable: sent.retryable });
  }
});

test("the body has the members of RFC 9457", () => {
  expect(toProblem(new AppError("ChunkAbsent", "no such chunk"))).toEqual({
    type: "urn:couchestor:error:chunk-absent",
    title: "Chunk absent",
    status: 404,
    detail: "no such chunk",
    code: "ChunkAbsent",
    retryable: false,
  });
});

test("an unknown error tells the peer nothing about the inside", async () => {
  const text = await problemResponse(new Error("password=hunter2 at /srv/secret")).text();
  expect(text).not.toContain("hunter2");
  expect(text).not.toContain("/srv");
  expect(JSON.parse(text)).toMatchObject({ status: 500, code: "Internal" });
  expect(toAppError("a string was thrown").code).toBe("Internal");
});

test("a full and a read-only medium have codes of their own, and paths stay inside", () => {
  const full = toAppError(new FileSystemError("ENOSPC", "write", "/srv/pool/7.seg"));
  expect(full.code).toBe("NoSpace");
  expect(full.message).not.toContain("/srv");
  expect(toAppError(new FileSystemError("EROFS", "open", "/x")).code).toBe("ReadOnly");
  expect(toAppError(new FileSystemError("EIO", "read", "/x")).message).toContain("EIO");
});

test("timeouts and cancelled calls are told apart", () => {
  expect(toAppError(new DOMException("t", "TimeoutError")).code).toBe("Timeout");
  expect(toAppError(new DOMException("a", "AbortError")).code).toBe("Cancelled");
});

test("an answer that is not ours becomes the code its status suggests", () => {
  expect(errorFromProblem(503, "upstream down").code).toBe("Unavailable");
  expect(errorFromProblem(503, "upstream down").message).toContain("upstream down");
  expect(errorFromProblem(404, {}).code).toBe("NotFound");
  expect(errorFromProblem(418, null).code).toBe("InvalidArgument");
  expect(errorFromProblem(599, undefined).code).toBe("Internal");
  const newer = { type: "t", title: "t", status: 409, detail: "from a newer peer", code: "Quantum" };
  expect(errorFromProblem(409, newer)).toMatchObject({ message: "from a newer peer", data: { peerCode: "Quantum" } });
});

test("no body of a peer, however strange, makes errorFromProblem throw", () => {
  fc.assert(
    fc.property(fc.integer({ min: 400, max: 599 }), hostileValues, (status, body) => {
      expect(errorFromProblem(status, body)).toBeInstanceOf(AppError);
    }),
    { numRuns: 300 },
  );
});

const schema = z.strictObject({
  name: z.string().min(1).max(5),
  k: z.number().int().min(1).max(32),
  mode: z.enum(["a", "b"]),
  list: z.array(z.number()).max(2),
  either: z.union([z.string(), z.number()]).optional(),
});

test("a rejected value names every path, what came and what is allowed", () => {
  const wrong = { name: "toolong", k: 33, mode: "c", list: [1, "x", 3], either: true, extra: 1 };
  const error = (() => {
    try {
      parseOrThrow(schema, wrong, "request body");
    } catch (thrown) {
      return thrown as AppError;
    }
    throw new Error("accepted");
  })();
  expect(error.code).toBe("InvalidArgument");
  for (const part of [
    'name: got "toolong", allowed is at most 5 characters',
    "k: got 33, allowed is at most 32",
    'mode: got "c", allowed is one of "a", "b"',
    "list: got an array of 3, allowed is at most 2 entries",
    "either: got true, allowed is string or number",
    "extra: got a field that is not known, remove it",
  ]) {
    expect(error.message).toContain(part);
  }
});

test("missing fields and huge values are named in short", () => {
  expect(() => parseOrThrow(z.object({ list: z.array(z.number()) }), { list: [1, "x"] }, "body")).toThrow(
    'list.1: got "x", allowed is number',
  );
  expect(() => parseOrThrow(schema, {}, "body")).toThrow("k: got nothing, allowed is number");
  expect(() => parseOrThrow(z.literal("v1"), "x".repeat(10_000), "version")).toThrow("(10002 characters)");
  expect(() => parseOrThrow(z.array(z.number()), new Array(1000).fill("x"), "list")).toThrow("and 984 more");
});

test("a zod error thrown by a handler is the peer's fault, not ours", () => {
  const thrown = z.number().safeParse("x").error;
  expect(toAppError(thrown)).toMatchObject({ code: "InvalidArgument", status: 400 });
});

test("a name that breaks the rule is refused in the rule's own words, not by its pattern", () => {
  expect(() => parseOrThrow(nameSchema, "X_", "name")).toThrow(/got "X_", must be lower-case letters, digits/);
});
