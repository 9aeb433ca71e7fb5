import { afterEach, expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { problemResponse } from "@couchestor/common/errors/http.ts";
import { httpAgents } from "./agent-client.ts";

const pool = "00000000-0000-4000-8000-000000000001";
let server: ReturnType<typeof Bun.serve> | undefined;
afterEach(() => server?.stop(true));

function serve(answer: (request: Request) => Response | Promise<Response>): string {
  server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  return `http://127.0.0.1:${server.port}`;
}

test("calls go to the agent's routes with the bodies of the contract", async () => {
  const seen: string[] = [];
  const url = serve(async (request) => {
    const { pathname, search } = new URL(request.url);
    seen.push(`${request.method} ${pathname}${search} ${await request.text()}`);
    if (pathname.endsWith("/verify")) return Response.json({ results: [{ state: "ok" }] });
    if (pathname.endsWith("/delete")) return Response.json({ deleted: 0, absent: 0 });
    if (pathname.endsWith("/chunks")) return Response.json({ chunks: [], next: "x" });
    return new Response(null, { status: 202 });
  });
  const agents = httpAgents(() => undefined);
  await agents.startAct(url, { kind: "scrub" } as never);
  await agents.cancelAct(url, "v.1.2");
  expect(await agents.verifyChunks(url, pool, [])).toEqual({ results: [{ state: "ok" }] });
  await agents.deleteChunks(url, pool, { orderedBy: { epoch: 1, actNo: 2 }, reason: "garbage", names: [] });
  expect(await agents.listChunks(url, pool, { after: undefined, limit: 5, verify: true })).toEqual({
    chunks: [],
    next: "x",
  });
  expect(seen).toEqual([
    'POST /v1/acts {"kind":"scrub"}',
    "DELETE /v1/acts/v.1.2 ",
    `POST /v1/pools/${pool}/chunks/verify {"names":[]}`,
    `POST /v1/pools/${pool}/chunks/delete {"orderedBy":{"epoch":1,"actNo":2},"reason":"garbage","names":[]}`,
    `GET /v1/pools/${pool}/chunks?limit=5&verify=true `,
  ]);
});

test("an act the agent does not know counts as stopped; other refusals are told; garbage is no answer", async () => {
  const agents = httpAgents(() => undefined);
  let url = serve(() => problemResponse(new AppError("NotFound", "no such act")));
  await agents.cancelAct(url, "v.1.2");
  await expect(agents.startAct(url, { kind: "scrub" } as never)).rejects.toThrow("no such act");
  server?.stop(true);
  url = serve(() => new Response("<html>"));
  await expect(agents.listChunks(url, pool, { after: undefined, limit: 5, verify: false })).rejects.toThrow(
    "is not JSON",
  );
});
