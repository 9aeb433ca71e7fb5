/**
 * Which pool was last seen under each name, kept in `{dataDir}/pools.json`. An empty folder where a pool was is a disk that is not mounted,
 * not a new pool: without this record the agent would quietly make one on the system's own disk.
 */
import { open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { uuidSchema } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { z } from "zod";

const identitySchema = z.strictObject({ path: z.string(), poolUuid: uuidSchema });
const fileSchema = z.record(z.string(), identitySchema);
export type PoolIdentity = z.infer<typeof identitySchema>;

export class PoolIdentities {
  readonly path: string;
  #known: Record<string, PoolIdentity> = {};
  #writing: Promise<void> = Promise.resolve();

  constructor(dataDir: string) {
    this.path = join(dataDir, "pools.json");
  }

  /** Throws `InvalidArgument` if the file is damaged. */
  async load(): Promise<void> {
    const text = await readFile(this.path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw new AppError("Unavailable", `${this.path} can't be read: ${error.code}`, { cause: error });
    });
    if (text === undefined) return;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new AppError(
        "InvalidArgument",
        `${this.path} is not JSON: put it right from a backup, or remove it once you have made sure that all pools' disks are mounted`,
        { cause: error },
      );
    }
    this.#known = parseOrThrow(fileSchema, value, this.path);
  }

  get(poolName: string): PoolIdentity | undefined {
    return this.#known[poolName];
  }

  /** Durable on return; what could not be written is not remembered. */
  async remember(poolName: string, identity: PoolIdentity): Promise<void> {
    const known = this.#known[poolName];
    if (known?.poolUuid === identity.poolUuid && known.path === identity.path) return;
    const writing = this.#writing.then(async () => {
      const next = { ...this.#known, [poolName]: identity };
      await this.#write(`${JSON.stringify(next, null, 2)}\n`);
      this.#known = next;
    });
    this.#writing = writing.catch(() => undefined);
    await writing;
  }

  async #write(text: string): Promise<void> {
    const temporary = `${this.path}.tmp`;
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.path);
    const folder = await open(dirname(this.path), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}
