/** A block device over a file of the file-system port: for tests, and to try a raw pool without a device. */
import type { FileSystem } from "@couchestor/common/runtime/file-system.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { BlockDevice } from "../medium.ts";

/** Opens an existing file as a block device; `deviceBytes` is for a device node, whose length is not its file's. */
export async function openFileBlockDevice(
  fileSystem: FileSystem,
  path: string,
  deviceBytes?: number,
): Promise<BlockDevice> {
  const file = await fileSystem.open(path, "read-write");
  const sizeBytes = deviceBytes ?? (await file.size());
  return {
    sizeBytes,
    async read(into, offset) {
      if ((await file.read(into, offset)) !== into.byteLength) throw new FileSystemError("EIO", "read", path);
    },
    write: (buffers, offset) => file.write(buffers, offset),
    sync: () => file.sync(),
    close: () => file.close(),
  };
}
