import { expect, test } from "bun:test";
import { createClient } from "@couchestor/common/http/client.ts";
import { type Listener, startListener } from "@couchestor/common/http/listener.ts";
import { TcpFront } from "@couchestor/common/http/tcp-front.ts";
import { policies } from "@couchestor/common/resilience/policies.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { Hono } from "hono";
import { z } from "zod";
import type { App } from "../http/listeners.ts";
import { leaderApp } from "./leader-apps.ts";

const listen = (name: string, app: App): Listener =>
  startListener({
    name,
    address: { hostname: "127.0.0.1", port: 0 },
    tlsFlags: "--tls-cert",
    bodyBytesMax: 1024,
    clock: systemClock,
    handle: (request) => app.fetch(request),
  });

test("before anybody leads it is said that nobody does yet, and to ask again", async () => {
  const answer = await leaderApp(
    () => undefined,
    () => "",
  ).fetch(new Request("http://brain/v1/volumes"));
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({
    detail: "this brain does not lead, and as far as it knows no brain does yet: ask again in a few seconds",
  });
});

test("whoever asks a brain that no longer leads is told who does, and reaches that one by asking again at the same address", async () => {
  const leads = { a: true, b: false };
  const answering = (name: "a" | "b") => new Hono().get("/", (c) => c.json({ name }));
  const brain = (name: "a" | "b") =>
    listen(
      name,
      leaderApp(
        () => (leads[name] ? answering(name) : undefined),
        () => "b_1",
      ),
    );
  const [a, b] = [brain("a"), brain("b")];
  // As kube-proxy: a connection stays where it went when it was made.
  const service = await TcpFront.listen({ hostname: "127.0.0.1", port: 0 }, a.port);
  const policy = { ...policies.query, attemptsMax: 1 };
  const client = createClient({ peer: "the brain", baseUrl: `http://127.0.0.1:${service.port}`, policy });
  const ask = () => client.json("GET", "/", z.object({ name: z.string() }));
  try {
    expect(await ask()).toEqual({ name: "a" });
    Object.assign(leads, { a: false, b: true });
    service.turnTo(b.port);
    const refused = await ask().catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: "Unavailable",
      message: expect.stringContaining("this brain does not lead; b_1 does"),
    });
    for (let i = 0; i < 3; i++) expect(await ask()).toEqual({ name: "b" });
  } finally {
    service.close();
    service.cut();
    await Promise.all([a.stop(0), b.stop(0)]);
  }
});
