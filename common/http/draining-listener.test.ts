import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { systemClock } from "../runtime/clock.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { type TempDir, tempDir } from "../testing/temp-dir.ts";
import { createTlsFiles } from "../tls/create-files.ts";
import { loadTlsMaterial, type TlsMaterial } from "../tls/material.ts";
import { drainingMax, drainMsDefault, startDrainingListener } from "./draining-listener.ts";
import type { Listener } from "./listener.ts";

/** Two authorities' certificates for 127.0.0.1. */
const materials: TlsMaterial[] = [];
const dirs: TempDir[] = [];
beforeAll(async () => {
  for (const name of ["old", "new"]) {
    const dir = await tempDir(`draining-${name}`);
    dirs.push(dir);
    await createTlsFiles({ dir: dir.path, hosts: [] });
    const file = (which: string) => join(dir.path, which);
    const files = { certFile: file("agent.crt"), keyFile: file("agent.key"), caFiles: [file("agent-ca.crt")] };
    materials.push(await loadTlsMaterial(files));
  }
});
afterAll(async () => {
  for (const dir of dirs) await dir[Symbol.asyncDispose]();
});
const [older, newer] = [() => materials[0] as TlsMaterial, () => materials[1] as TlsMaterial];

const start = (handle: (request: Request) => Response | Promise<Response>, more: object = {}): Promise<Listener> =>
  startDrainingListener({
    name: "test",
    address: { hostname: "127.0.0.1", port: 0 },
    tls: older(),
    tlsFlags: "--tls-cert",
    anyClient: true,
    bodyBytesMax: 1024 * 1024,
    clock: systemClock,
    handle,
    ...more,
  });

interface Answer {
  text: string;
  /** The server said that this connection takes no more. */
  last: boolean;
}

/** A caller with one connection, which it keeps open as long as it may. */
function caller(url: string, { ca }: TlsMaterial) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca });
  return {
    ask: (body = "") =>
      new Promise<Answer>((resolve, reject) => {
        const sent = request(`${url}/x`, { agent, method: "POST" }, (response) => {
          let text = "";
          response.on("data", (data) => {
            text += String(data);
          });
          response.on("end", () => resolve({ text, last: response.headers.connection === "close" }));
          response.on("error", reject);
        });
        sent.on("error", reject);
        sent.end(body);
      }),
    leave: () => agent.destroy(),
  };
}

describe("a certificate that is replaced", () => {
  test("is the new one for whoever connects anew, while who is connected is answered once more and told to leave", async () => {
    const listener = await start(() => new Response("well"));
    const [before, after] = [caller(listener.url, older()), caller(listener.url, newer())];
    try {
      expect(await before.ask()).toEqual({ text: "well", last: false });
      await expect(after.ask()).rejects.toThrow();
      listener.replaceTls(newer());
      expect(await before.ask()).toEqual({ text: "well", last: true });
      expect(await after.ask()).toEqual({ text: "well", last: false });
      await expect(before.ask()).rejects.toThrow();
    } finally {
      before.leave();
      after.leave();
      await listener.stop(0);
    }
  });

  test("cuts no request, however often it is replaced, as long as callers leave when they are told to", async () => {
    const listener = await start(async (asked) => new Response(String((await asked.text()).length)));
    const both = { ...older(), ca: [...older().ca, ...newer().ca] };
    let answers = 0;
    let replacing = true;
    const asking = Array.from({ length: 4 }, async () => {
      const one = caller(listener.url, both);
      while (replacing) {
        expect((await one.ask("x".repeat(100_000))).text).toBe("100000");
        answers += 1;
      }
      one.leave();
    });
    for (let i = 0; i < 20; i++) {
      listener.replaceTls(i % 2 === 0 ? newer() : older());
      const seen = answers;
      while (answers < seen + 4) await systemClock.sleep(1);
    }
    replacing = false;
    await Promise.all(asking);
    expect(answers).toBeGreaterThan(80);
    await listener.stop(1_000);
  }, 180_000);

  test("is given up for connections that nobody uses, and for all but the newest replaced ones", async () => {
    const clock = new FakeClock();
    const listener = await start(() => new Response("well"), { clock });
    const callers = Array.from({ length: drainingMax + 2 }, () => caller(listener.url, older()));
    for (const one of callers) {
      await one.ask();
      listener.replaceTls(older());
    }
    expect((await callers[2]?.ask())?.last).toBe(true);
    await clock.advance(drainMsDefault);
    // All are gone by now; whoever asks connects anew.
    for (const one of callers.slice(3)) expect((await one.ask().catch(() => one.ask())).last).toBe(false);
    for (const one of callers) one.leave();
    await listener.stop(0);
  });
});

test("an address in use is told as such", async () => {
  const listener = await start(() => new Response());
  const address = { hostname: "127.0.0.1", port: listener.port };
  await expect(start(() => new Response(), { address })).rejects.toThrow("another process has that port");
  await listener.stop(0);
});

test("a stop lets what is under way end, and accepts nothing more", async () => {
  const held = Promise.withResolvers<Response>();
  const listener = await start(() => held.promise);
  const [one, other] = [caller(listener.url, older()), caller(listener.url, older())];
  const asked = one.ask();
  while (listener.inFlight === 0) await systemClock.sleep(1);
  const stopped = listener.stop(5_000);
  await expect(other.ask()).rejects.toThrow();
  held.resolve(new Response("done"));
  expect(await asked).toEqual({ text: "done", last: true });
  await stopped;
  one.leave();
  other.leave();
});
