/** Reads the attributes of one device and keeps account of what could not be read, so that a strange file costs one figure and not the device. */
import type { SysTree } from "./ports.ts";

/** Errors by which drivers say "I have no such thing". */
const notTold: ReadonlySet<string> = new Set(["ENXIO", "ENODATA", "EOPNOTSUPP", "EINVAL", "ENODEV"]);
const problemsMax = 16;

export class SysReader {
  readonly tree: SysTree;
  readonly #problems: string[] = [];

  constructor(tree: SysTree) {
    this.tree = tree;
  }

  /** What could not be read, in words. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  note(problem: string): void {
    if (this.#problems.length < problemsMax) this.#problems.push(problem);
  }

  /** The bytes of an attribute; undefined if it is missing, empty, not told or unreadable. */
  async bytes(path: string): Promise<Uint8Array | undefined> {
    const file = await this.tree.read(path);
    if (file.state === "read") return file.bytes.byteLength === 0 ? undefined : file.bytes;
    if (file.state === "failed" && !notTold.has(file.code)) {
      this.note(`${path}: ${file.code === "EFBIG" ? "much longer than such a file can be" : file.code}`);
    }
    return undefined;
  }

  /** The text of an attribute without surrounding blanks; undefined if there is none, or it is not printable. */
  async text(path: string): Promise<string | undefined> {
    const bytes = await this.bytes(path);
    return bytes === undefined ? undefined : printable(bytes);
  }

  /** A whole number from 0; undefined if there is none. What is no number is noted. */
  async count(path: string): Promise<number | undefined> {
    const text = await this.text(path);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(value)) return value;
    // -1 is how the kernel says that a device is at no node in particular.
    if (text !== "-1") this.note(`${path}: "${text.slice(0, 32)}" is no number`);
    return undefined;
  }

  async flag(path: string): Promise<boolean | undefined> {
    const count = await this.count(path);
    return count === undefined ? undefined : count !== 0;
  }

  /** Names in a folder; none if it can't be read, which is noted. */
  async names(path: string): Promise<string[]> {
    return this.tree.list(path).catch((error: { code?: string }) => {
      this.note(`${path}: ${error.code ?? String(error)}`);
      return [];
    });
  }
}

/** Printable ASCII of at most 256 characters, blanks and NULs around it cut off; undefined if nothing is left. Devices fill fields with anything. */
export function printable(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder("latin1")
    .decode(bytes.subarray(0, 4096))
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is to be taken out
    .replace(/[\x00-\x1f\x7f-\xff]+/g, " ")
    .trim()
    .replace(/ {2,}/g, " ")
    .slice(0, 256);
  return text === "" ? undefined : text;
}
