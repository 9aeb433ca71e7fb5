/**
 * `endpoint.json` in a daemon's data folder: how other processes of this machine find it.
 * It is written when the daemon is ready, and removed on a clean exit. After a crash it may be stale: check `instanceUuid`.
 */
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { AppError } from "../errors/app-error.ts";
import { parseOrThrow } from "../errors/from-zod.ts";

const url = z.string().max(512);

export const endpointSchema = z.object({
  pid: z.number().int().positive(),
  role: z.enum(["agent", "brain", "standalone"]),
  version: z.string().max(64),
  /** New at every start: tells a restarted daemon from the one before. */
  instanceUuid: z.uuid(),
  clusterUrl: url,
  adminUrl: url,
  metricsUrl: url,
  healthUrl: url,
});
export type Endpoint = z.infer<typeof endpointSchema>;

const fileName = "endpoint.json";

/** The path of the endpoint file of `dataDir`. */
export function endpointPath(dataDir: string): string {
  return join(dataDir, fileName);
}

/** Writes the endpoint file so that a reader sees either the old one or the whole new one. Readable by its owner only. */
export async function writeEndpoint(dataDir: string, endpoint: Endpoint): Promise<void> {
  const path = endpointPath(dataDir);
  const temporary = `${path}.${endpoint.pid}.tmp`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(endpointSchema.parse(endpoint), null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** The endpoint of the daemon of `dataDir`, or undefined if there is none. Throws `InvalidArgument` if the file is not ours. */
export async function readEndpoint(dataDir: string): Promise<Endpoint | undefined> {
  const path = endpointPath(dataDir);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new AppError("Unavailable", `${path} can't be read: ${error.code}`, { cause: error });
  });
  return text === undefined ? undefined : parseOrThrow(endpointSchema, parseJson(text, path), path);
}

/** Removes the endpoint file, if it still is the one of `instanceUuid`. */
export async function removeEndpoint(dataDir: string, instanceUuid: string): Promise<void> {
  const current = await readEndpoint(dataDir).catch(() => undefined);
  if (current?.instanceUuid === instanceUuid) await rm(endpointPath(dataDir), { force: true });
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("InvalidArgument", `${path}: not JSON; remove it if no daemon runs there`, { cause: error });
  }
}
