/** A store that stops working at the n-th write, either before or after it was made: as a process that dies there sees it. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { ResourceStore } from "../store/ports.ts";

export interface CrashPoint {
  /** Writes that still succeed. */
  writesLeft: number;
  /** Whether the write at which it stops is made. */
  written: boolean;
  crashed: boolean;
}

export function crashingStore(store: ResourceStore, point: CrashPoint): ResourceStore {
  const dead = (): never => {
    throw new AppError("Unavailable", "the store is gone");
  };
  const write = async <T>(run: () => Promise<T>): Promise<T> => {
    if (point.crashed) dead();
    if (point.writesLeft-- > 0) return run();
    point.crashed = true;
    if (point.written) await run();
    return dead();
  };
  return {
    get: async (kind, name) => (point.crashed ? dead() : store.get(kind, name)),
    list: async (kind, prefix, fields) => (point.crashed ? dead() : store.list(kind, prefix, fields)),
    pages: (kind, options) => (point.crashed ? dead() : store.pages(kind, options)),
    create: (kind, object) => write(() => store.create(kind, object)),
    update: (kind, object) => write(() => store.update(kind, object)),
    updateStatus: (kind, object) => write(() => store.updateStatus(kind, object)),
    delete: (kind, name, version) => write(() => store.delete(kind, name, version)),
    watch: (kind, from, signal, unreadable) => store.watch(kind, from, signal, unreadable),
    close: () => store.close(),
  };
}
