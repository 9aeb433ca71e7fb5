/**
 * Folders for tests, removed afterwards: `await using dir = await tempDir("store")`.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TempDir extends AsyncDisposable {
  readonly path: string;
}

/** A new empty folder. `name` appears in its path. */
export async function tempDir(name: string): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), `couchestor-${name}-`));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}

/** Runs `body` with a new empty folder and removes it, whatever happens. */
export async function withTempDir<T>(name: string, body: (path: string) => Promise<T>): Promise<T> {
  await using directory = await tempDir(name);
  return await body(directory.path);
}
