/** Ports of this machine's loopback for the brain: the ones it had, while they are free, else ones that are free at this moment. */
import { createServer, type Server } from "node:net";
import type { BrainPorts } from "./state-file.ts";

/** Four different free ports, the `wanted` ones if all of them are free. */
export async function freePorts(wanted: BrainPorts | undefined): Promise<BrainPorts> {
  const held =
    wanted === undefined ? undefined : await holdAll([wanted.cluster, wanted.admin, wanted.metrics, wanted.health]);
  const servers = held ?? (await holdAll([0, 0, 0, 0]));
  if (servers === undefined) throw new Error("the system gave no free port on 127.0.0.1");
  const [cluster = 0, admin = 0, metrics = 0, health = 0] = servers.map(portOf);
  await release(servers);
  return { cluster, admin, metrics, health };
}

/** Holds all the ports at once, so that they are different; undefined if one is taken. */
async function holdAll(ports: readonly number[]): Promise<Server[] | undefined> {
  const results = await Promise.allSettled(ports.map(hold));
  const servers = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  if (servers.length === ports.length) return servers;
  await release(servers);
  return undefined;
}

function hold(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function release(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
}
