/** The agent's data folder: made if it is not there, and held by one process at a time. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type FileSystem, FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { ShutdownGroup } from "@couchestor/common/runtime/shutdown.ts";

/** Makes and locks the folder until the shutdown. Throws `InvalidArgument` if it can't be made, `FailedPrecondition` if another process has it. */
export async function takeDataDir(dataDir: string, fileSystem: FileSystem, shutdown: ShutdownGroup): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === "EEXIST" || error.code === "ENOTDIR" ? "a file is there, not a folder" : error.code;
    throw new AppError("InvalidArgument", `--data-dir: ${dataDir} can't be made: ${why}`, { cause: error });
  });
  try {
    const lock = await fileSystem.lock(join(dataDir, "LOCK"));
    shutdown.add("lock", 1_000, () => lock.release());
  } catch (error) {
    if (!(error instanceof FileSystemError) || error.code !== "EWOULDBLOCK") throw error;
    throw new AppError(
      "FailedPrecondition",
      `${dataDir}: another process uses this data folder; stop it, or give another --data-dir`,
      { data: { field: "--data-dir", came: dataDir }, cause: error },
    );
  }
}
