import { expect, test } from "bun:test";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { systemClock } from "../runtime/clock.ts";
import { TcpFront } from "./tcp-front.ts";

/** A server that answers whatever comes with `bytes`, and closes. */
async function answering(bytes: number): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(Buffer.alloc(bytes, "x")));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** Reads to the end, and leaves the own side open. */
function received(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on("data", (data) => {
    bytes += data.length;
  });
  return new Promise((resolve, reject) => {
    socket.once("end", () => resolve(bytes));
    socket.once("error", reject);
  });
}

test("a caller gets all of the last answer though the server behind closes at once, and one that never closes is let go", async () => {
  const behind = await answering(4_000_000);
  const front = await TcpFront.listen({ hostname: "127.0.0.1", port: 0 }, portOf(behind));
  const callers = Array.from({ length: 4 }, () =>
    connect({ port: front.port, host: "127.0.0.1", allowHalfOpen: true }),
  );
  const all = callers.map(received);
  for (const caller of callers) caller.write("ask");
  expect(await Promise.all(all)).toEqual(callers.map(() => 4_000_000));
  // None of them has closed its side.
  const untilMs = systemClock.monotonicMs() + 60_000;
  while (front.connectionsOf(portOf(behind)) > 0 && systemClock.monotonicMs() < untilMs) await systemClock.sleep(5);
  expect(front.connectionsOf(portOf(behind))).toBe(0);
  for (const caller of callers) caller.destroy();
  front.close();
  behind.close();
});
