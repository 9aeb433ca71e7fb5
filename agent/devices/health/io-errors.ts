/** Counts the operations that fail on each device that a pool uses: what the device itself keeps quiet about. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";

/**
 * Errors by which the kernel says that the device or the way to it failed (block/blk-core.c): I/O error, medium error, target error, protection error, link
 * error, timeout. Not among them: a wrong call, no space, and a device that was pulled, which is Gone and not failing.
 */
const deviceFailures: ReadonlySet<string> = new Set(["EIO", "ENODATA", "EREMOTEIO", "EILSEQ", "ENOLINK", "ETIMEDOUT"]);

/** A device's operations, as far as they are watched. */
interface Operations {
  read(...args: never[]): Promise<unknown>;
  write(...args: never[]): Promise<unknown>;
  sync(): Promise<unknown>;
}

export class IoErrorCounts {
  readonly #counts = new Map<string, number>();

  /** The same device, with its failures counted under its path. */
  counting<Device extends Operations>(path: string, device: Device): Device {
    if (!this.#counts.has(path)) this.#counts.set(path, 0);
    const watched = (operation: "read" | "write" | "sync") => {
      const run: (...args: never[]) => Promise<unknown> = device[operation].bind(device);
      return async (...args: never[]): Promise<unknown> => {
        try {
          return await run(...args);
        } catch (error) {
          if (error instanceof FileSystemError && deviceFailures.has(error.code)) this.#add(path);
          throw error;
        }
      };
    };
    const own = { read: watched("read"), write: watched("write"), sync: watched("sync") };
    return new Proxy(device, {
      get(target, name) {
        if (name === "read" || name === "write" || name === "sync") return own[name];
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** Failures since the path was first opened; undefined for one that never was. */
  of(path: string): number | undefined {
    return this.#counts.get(path);
  }

  #add(path: string): void {
    this.#counts.set(path, (this.#counts.get(path) ?? 0) + 1);
  }
}
