/** What the demo asks of the disk itself, past all processes: how much is allocated, and where the bytes of a chunk are. */
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";

const windowBytes = 4 * 1024 * 1024;

/** Bytes that the file system has allocated below the folders (`st_blocks`), which counts what is really taken. */
export async function allocatedBytes(folders: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const folder of folders) for (const path of await filesBelow(folder)) bytes += (await lstat(path)).blocks * 512;
  return bytes;
}

export interface Place {
  path: string;
  offset: number;
}

/** Every place below `folder` where the bytes of `needle` are, at most `placesMax`. */
export async function findBytes(folder: string, needle: Uint8Array, placesMax: number): Promise<Place[]> {
  const places: Place[] = [];
  for (const path of await filesBelow(folder)) {
    for (const offset of await findInFile(path, needle, placesMax - places.length)) places.push({ path, offset });
    if (places.length >= placesMax) break;
  }
  return places;
}

async function findInFile(path: string, needle: Uint8Array, placesMax: number): Promise<number[]> {
  const file = await open(path, "r");
  const window = Buffer.alloc(windowBytes + needle.length - 1);
  const found: number[] = [];
  try {
    for (let base = 0; ; base += windowBytes) {
      const { bytesRead } = await file.read(window, 0, window.length, base);
      const seen = window.subarray(0, bytesRead);
      for (let at = seen.indexOf(needle); at >= 0; at = seen.indexOf(needle, at + 1)) {
        if (found.length >= placesMax) return found;
        found.push(base + at);
      }
      if (bytesRead < window.length) return found;
    }
  } finally {
    await file.close();
  }
}

/** Inverts `length` bytes on the disk, behind everybody's back. */
export async function flipBytes(place: Place, length: number): Promise<void> {
  const file = await open(place.path, "r+");
  try {
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, place.offset);
    for (let i = 0; i < length; i++) bytes[i] = (bytes[i] ?? 0) ^ 0xff;
    await file.write(bytes, 0, length, place.offset);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
