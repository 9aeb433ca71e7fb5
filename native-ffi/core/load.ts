/**
 * Finds and opens a native library: named by an environment variable, installed in the system, unpacked in the checkout's `.deps`, or embedded
 * in the program. Absolute paths only: a bare name would also be looked for in the working folder.
 */
import { dlopen, type FFIFunction } from "bun:ffi";
import { closeSync, existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { embeddedLibraries } from "../embedded/libraries.ts";
import { createMemoryFile } from "../libc/libc.ts";
import { currentPlatform, isCompiled, libraryFolders, type Platform } from "./platform.ts";

export interface LibraryName {
  /** `libisal`: the key in `versions.json`, and the name of an embedded one. */
  readonly name: string;
  /** `libisal.so.2`; more than one where distributions differ. */
  readonly sonames: readonly string[];
  /** `COUCHESTOR_LIBISAL`: an absolute path, which goes before all else. */
  readonly environmentVariable: string;
}

export interface LibraryCandidate {
  readonly origin: "environment" | "system" | "checkout" | "embedded";
  readonly path: string;
  /** As the file's name or the list of packages beside it says: `2.31`, `2.31.1-1.1`; undefined if neither does. */
  readonly version: string | undefined;
}

export interface OpenLibrary<Signatures extends Record<string, FFIFunction>> extends LibraryCandidate {
  readonly symbols: ReturnType<typeof dlopen<Signatures>>["symbols"];
}

export interface LoadResult<Signatures extends Record<string, FFIFunction>> {
  readonly library: OpenLibrary<Signatures> | undefined;
  /** Why candidates were passed over, one line each. */
  readonly notes: readonly string[];
}

/** `2.0.31` of `libisal.so.2.0.31`, or what a `versions.json` in the same folder says. */
function fileVersion(library: LibraryName, path: string): string | undefined {
  const listed = join(dirname(path), "versions.json");
  try {
    if (existsSync(listed)) return (JSON.parse(readFileSync(listed, "utf8")) as Record<string, string>)[library.name];
    return /\.so\.(\d+(?:\.\d+)+)$/.exec(basename(realpathSync(path)))?.[1];
  } catch {
    // A version is for people and for preferring one candidate over another; without it the library still works.
    return undefined;
  }
}

function onDisk(library: LibraryName, platform: Platform): LibraryCandidate[] {
  const found: LibraryCandidate[] = [];
  const add = (origin: "system" | "checkout", folder: string) => {
    for (const soname of library.sonames) {
      const path = join(folder, soname);
      if (existsSync(path)) found.push({ origin, path, version: fileVersion(library, path) });
    }
  };
  for (const folder of libraryFolders(platform)) add("system", folder);
  if (!isCompiled()) add("checkout", join(import.meta.dir, "../../.deps", platform.debian));
  return found;
}

/** Every place this machine has the library, best first, and what is wrong with the environment variable. */
export function findLibrary(
  library: LibraryName,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): { candidates: LibraryCandidate[]; notes: string[] } {
  const platform = currentPlatform();
  if (!platform) return { candidates: [], notes: [`${process.platform}-${process.arch} has no native libraries here`] };
  const candidates: LibraryCandidate[] = [];
  const notes: string[] = [];
  const chosen = environment[library.environmentVariable];
  if (chosen) {
    if (!isAbsolute(chosen)) notes.push(`${library.environmentVariable}: got "${chosen}"; allowed: an absolute path`);
    else if (!existsSync(chosen)) notes.push(`${library.environmentVariable}: ${chosen} does not exist`);
    else candidates.push({ origin: "environment", path: chosen, version: fileVersion(library, chosen) });
  }
  candidates.push(...onDisk(library, platform));
  const embedded = embeddedLibraries.find(({ name }) => name === library.name);
  if (embedded) candidates.push({ origin: "embedded", path: embedded.path, version: embedded.version });
  return { candidates, notes };
}

/** Opens a library from its bytes, through a file in memory: needs no writable file system. */
export function openFromMemory<Signatures extends Record<string, FFIFunction>>(
  name: string,
  bytes: Uint8Array,
  signatures: Signatures,
): ReturnType<typeof dlopen<Signatures>>["symbols"] {
  const fd = createMemoryFile(name);
  try {
    writeFileSync(fd, bytes);
    // Stays open for good: the dynamic linker knows libraries by their path, and would take the next one with this number for this one.
    return dlopen(`/proc/self/fd/${fd}`, signatures).symbols;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Opens one candidate. Throws whatever the dynamic linker says. */
export function openCandidate<Signatures extends Record<string, FFIFunction>>(
  library: LibraryName,
  candidate: LibraryCandidate,
  signatures: Signatures,
): OpenLibrary<Signatures> {
  const symbols =
    candidate.origin === "embedded"
      ? openFromMemory(library.name, readFileSync(candidate.path), signatures)
      : dlopen(candidate.path, signatures).symbols;
  return { ...candidate, symbols };
}

/** The order to try them in: what the environment names, what is preferred, the rest; otherwise as they came. */
export function preferredFirst(
  candidates: readonly LibraryCandidate[],
  preferred: (candidate: LibraryCandidate) => boolean,
): LibraryCandidate[] {
  const isPreferred = (candidate: LibraryCandidate) => candidate.origin === "environment" || preferred(candidate);
  return [...candidates.filter(isPreferred), ...candidates.filter((candidate) => !isPreferred(candidate))];
}

/**
 * Opens the first candidate that `preferred` accepts, else the first that opens at all. One named by the environment is always preferred.
 * Never throws: no library is an answer, with the reasons in `notes`.
 */
export function loadLibrary<Signatures extends Record<string, FFIFunction>>(
  library: LibraryName,
  signatures: Signatures,
  preferred: (candidate: LibraryCandidate) => boolean = () => true,
): LoadResult<Signatures> {
  const { candidates, notes } = findLibrary(library);
  for (const candidate of preferredFirst(candidates, preferred)) {
    try {
      return { library: openCandidate(library, candidate, signatures), notes };
    } catch (error) {
      notes.push(
        `${library.name}: ${candidate.path} could not be opened: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
  if (candidates.length === 0) notes.push(`${library.name} is not installed, unpacked or embedded`);
  return { library: undefined, notes };
}
