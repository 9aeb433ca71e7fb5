/** `/sys` and `/proc` of this machine behind the port: what is missing is an answer, what is huge or fails is told apart from it. */
import { open, readdir, realpath } from "node:fs/promises";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { SysFile, SysTree } from "./ports.ts";

/** Attributes of sysfs are a page; vital product data pages may have 64 KiB. */
const fileBytesMax = 64 * 1024;
/** No folder of /sys that is read here has more names on a machine that works. */
export const namesMax = 65_536;

/** The real tree. `root` goes before every path: `/host` where a container has the machine's /sys and /proc there. */
export function systemTree(root = ""): SysTree {
  return {
    async list(path) {
      const names = await readdir(root + path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
        throw new FileSystemError(error.code ?? "EIO", "readdir", path, { cause: error });
      });
      if (names.length > namesMax) throw new FileSystemError("EFBIG", `readdir (${names.length} names)`, path);
      return names.sort();
    },
    read: (path, bytesMax = fileBytesMax) => readFile(root + path, bytesMax),
    async resolve(path) {
      try {
        const target = await realpath(root + path);
        return target.startsWith(root) ? target.slice(root.length) : undefined;
      } catch {
        return undefined;
      }
    },
    async write(path, text) {
      try {
        const file = await open(root + path, "w");
        try {
          await file.write(text);
        } finally {
          await file.close();
        }
      } catch (error) {
        throw new FileSystemError((error as NodeJS.ErrnoException).code ?? "EIO", "write", path, { cause: error });
      }
    },
  };
}

/** Attributes tell no length beforehand, so they are read until they end. */
async function readFile(path: string, bytesMax: number): Promise<SysFile> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    file = await open(path, "r");
    const pieces: Uint8Array[] = [];
    for (let length = 0; ; ) {
      const piece = new Uint8Array(Math.min(bytesMax + 1 - length, pieces.length === 0 ? 4096 : 65_536));
      const { bytesRead } = await file.read(piece, 0, piece.length, null);
      if (bytesRead === 0) return { state: "read", bytes: Buffer.concat(pieces) };
      pieces.push(piece.subarray(0, bytesRead));
      length += bytesRead;
      if (length > bytesMax) return { state: "failed", code: "EFBIG" };
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "EIO";
    return code === "ENOENT" || code === "ENOTDIR" ? { state: "missing" } : { state: "failed", code };
  } finally {
    await file?.close().catch(() => undefined);
  }
}
