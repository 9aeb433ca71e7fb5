/**
 * Two small files in the data folder of a standalone: `standalone.json` says what runs now (removed on a clean stop), `ports.json`
 * which ports the brain had, so that it gets the same ones again and the addresses people noted stay good.
 */
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { z } from "zod";

const processSchema = z.object({ name: z.string(), pid: z.int(), dataDir: z.string() });

export const standaloneFileSchema = z.object({
  pid: z.int().positive(),
  version: z.string(),
  /** The brain's admin address. */
  brainUrl: z.url(),
  brain: processSchema,
  agents: z.array(processSchema.extend({ pools: z.array(z.object({ name: z.string(), path: z.string() })) })),
});
export type StandaloneFile = z.infer<typeof standaloneFileSchema>;

export const brainPortsSchema = z.object({
  cluster: z.int().min(1).max(65_535),
  admin: z.int().min(1).max(65_535),
  metrics: z.int().min(1).max(65_535),
  health: z.int().min(1).max(65_535),
});
export type BrainPorts = z.infer<typeof brainPortsSchema>;

const standaloneName = "standalone.json";
const portsName = "ports.json";

/** What runs from `dataDir`, or undefined if nothing was started there (or it was stopped cleanly). */
export function readStandaloneFile(dataDir: string): Promise<StandaloneFile | undefined> {
  return readJson(join(dataDir, standaloneName), standaloneFileSchema);
}

export function writeStandaloneFile(dataDir: string, content: StandaloneFile): Promise<void> {
  return writeJson(join(dataDir, standaloneName), content);
}

export function removeStandaloneFile(dataDir: string): Promise<void> {
  return rm(join(dataDir, standaloneName), { force: true });
}

export function readBrainPorts(dataDir: string): Promise<BrainPorts | undefined> {
  return readJson(join(dataDir, portsName), brainPortsSchema);
}

export function writeBrainPorts(dataDir: string, ports: BrainPorts): Promise<void> {
  return writeJson(join(dataDir, portsName), ports);
}

async function readJson<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new AppError("Unavailable", `${path} can't be read: ${code}`, { cause: error });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AppError("InvalidArgument", `${path} is not JSON; remove it and start the standalone again`, {
      cause: error,
    });
  }
  return parseOrThrow(schema, value, path);
}

/** Whole or not at all, and durable: readers never see half a file. */
async function writeJson(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
