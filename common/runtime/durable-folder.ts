/** A folder that is there after a power loss: its name is synced in its parent, and so are the names of parents that had to be made. */
import { dirname, resolve } from "node:path";
import { type FileSystem, FileSystemError } from "./file-system.ts";

/**
 * Makes `path` with its missing parents, all durable on return. A folder that is there already may be from a start that died before its name was synced, so
 * its parent is synced too, unless the process may not open that: then whoever made it must have. Throws `FileSystemError`.
 */
export async function makeDurableFolder(fs: FileSystem, path: string): Promise<void> {
  const folder = resolve(path);
  const made: string[] = [];
  for (let at = folder; !(await fs.exists(at)); at = dirname(at)) made.push(at);
  if (made.length > 0) await fs.makeDirectory(folder);
  for (const name of made.reverse()) await fs.syncDirectory(dirname(name));
  if (made.length > 0) return;
  await fs.syncDirectory(dirname(folder)).catch((error) => {
    if (!(error instanceof FileSystemError) || error.code !== "EACCES") throw error;
  });
}
