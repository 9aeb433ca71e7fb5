/**
 * A tree of /sys, /proc and /dev links in memory, from a capture of a real machine or made by hand. It fails as the real one does: attributes
 * that answer ENXIO or EIO, that are empty or huge, folders that can't be read, entries that vanish between two calls.
 */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { SysFile, SysTree } from "../ports.ts";

/** A captured entry: text, bytes, a link, an error number, or a folder. */
export type Entry = { text: string } | { hex: string } | { link: string } | { error: number | string } | { dir: true };
export type Capture = Record<string, Entry>;

const errorNames: Readonly<Record<number, string>> = {
  1: "EPERM",
  5: "EIO",
  6: "ENXIO",
  13: "EACCES",
  19: "ENODEV",
  61: "ENODATA",
};

export class FakeTree implements SysTree {
  readonly entries: Map<string, Entry>;
  /** Every path read, to count what a look costs. */
  reads = 0;
  /** What was written, in order. */
  readonly writes: [path: string, text: string][] = [];
  /** Called before each access: a test may take things away in the midst of a look. */
  before: (path: string) => void = () => undefined;
  #children: Map<string, Set<string>> | undefined;

  constructor(capture: Capture) {
    this.entries = new Map(Object.entries(capture));
  }

  set(path: string, entry: Entry | string): void {
    this.entries.set(path, typeof entry === "string" ? { text: entry } : entry);
    this.#children = undefined;
  }

  /** Removes a path with all beneath it. */
  remove(path: string): void {
    for (const key of [...this.entries.keys()]) {
      if (key === path || key.startsWith(`${path}/`)) this.entries.delete(key);
    }
    this.#children = undefined;
  }

  async list(path: string): Promise<string[]> {
    this.before(path);
    const at = this.#follow(path) ?? path;
    const entry = this.entries.get(at);
    if (entry !== undefined && "error" in entry) throw new FileSystemError(errorName(entry.error), "readdir", path);
    return [...(this.#folders().get(at) ?? [])].sort();
  }

  async read(path: string, bytesMax = 65_536): Promise<SysFile> {
    this.before(path);
    this.reads++;
    const at = this.#follow(path);
    const entry = at === undefined ? undefined : this.entries.get(at);
    if (entry === undefined || "dir" in entry) return { state: "missing" };
    if ("error" in entry) return { state: "failed", code: errorName(entry.error) };
    const bytes =
      "hex" in entry ? Buffer.from(entry.hex, "hex") : Buffer.from("text" in entry ? entry.text : "", "latin1");
    return bytes.byteLength > bytesMax ? { state: "failed", code: "EFBIG" } : { state: "read", bytes };
  }

  async resolve(path: string): Promise<string | undefined> {
    this.before(path);
    const at = this.#follow(path);
    return at !== undefined && (this.entries.has(at) || this.#folders().has(at)) ? at : undefined;
  }

  async write(path: string, text: string): Promise<void> {
    const at = this.#follow(path) ?? path;
    const entry = this.entries.get(at);
    if (entry === undefined) throw new FileSystemError("ENOENT", "write", path);
    if ("error" in entry) throw new FileSystemError(errorName(entry.error), "write", path);
    this.writes.push([path, text]);
    this.entries.set(at, { text });
  }

  /** The path with every link in it followed; undefined for a circle. */
  #follow(path: string): string | undefined {
    const parts = path.split("/").filter((part) => part !== "");
    let at = "";
    for (let hops = 0; parts.length > 0; ) {
      const part = parts.shift() ?? "";
      if (part === "..") {
        at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
        continue;
      }
      if (part === ".") continue;
      const next = `${at}/${part}`;
      const entry = this.entries.get(next);
      if (entry === undefined || !("link" in entry)) {
        at = next;
        continue;
      }
      if (++hops > 40) return undefined;
      if (entry.link.startsWith("/")) at = "";
      parts.unshift(...entry.link.split("/").filter((p) => p !== ""));
    }
    return at;
  }

  #folders(): Map<string, Set<string>> {
    if (this.#children !== undefined) return this.#children;
    const children = new Map<string, Set<string>>();
    for (const path of this.entries.keys()) {
      for (let at = path; at.includes("/"); ) {
        const parent = at.slice(0, at.lastIndexOf("/"));
        const names = children.get(parent) ?? new Set();
        children.set(parent, names.add(at.slice(at.lastIndexOf("/") + 1)));
        at = parent;
      }
    }
    this.#children = children;
    return children;
  }
}

function errorName(error: number | string): string {
  return typeof error === "string" ? error : (errorNames[error] ?? `errno ${error}`);
}
