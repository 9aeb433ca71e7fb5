/** The few calls of the C library that Bun does not offer. glibc only, by absolute path. */
import { dlopen, read } from "bun:ffi";
import { existsSync, readFileSync } from "node:fs";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { errnoError } from "../core/errno.ts";
import { currentPlatform, libraryFolders } from "../core/platform.ts";

const signatures = {
  __errno_location: { args: [], returns: "ptr" },
  memfd_create: { args: ["ptr", "u32"], returns: "i32" },
  eventfd: { args: ["u32", "i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  posix_fadvise: { args: ["i32", "i64", "i64", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "i64" },
  munmap: { args: ["ptr", "u64"], returns: "i32" },
  msync: { args: ["ptr", "u64", "i32"], returns: "i32" },
  madvise: { args: ["ptr", "u64", "i32"], returns: "i32" },
} as const;

export type LibcSymbols = ReturnType<typeof dlopen<typeof signatures>>["symbols"];

/**
 * Where this process's C library is. What is mapped already comes first: it is the right one whatever the distribution calls its folders.
 * Throws `FailedPrecondition` where there is no glibc.
 */
export function findLibc(maps: string = readFileSync("/proc/self/maps", "utf8")): string {
  const mapped = /\s(\/\S*\/libc(?:\.so\.6|-2\.\d+\.so))$/m.exec(maps)?.[1];
  if (mapped) return mapped;
  const platform = currentPlatform();
  const candidates = platform ? libraryFolders(platform).map((folder) => `${folder}/libc.so.6`) : [];
  const found = candidates.find((path) => existsSync(path));
  if (found) return found;
  const musl = /ld-musl|libc\.musl/.test(maps);
  throw new AppError(
    "FailedPrecondition",
    musl
      ? "this system has musl instead of glibc; native libraries need glibc (Debian, Ubuntu, RHEL …). Everything else works, on WebAssembly"
      : `no libc.so.6 found; looked in ${candidates.join(", ") || "nothing, as this platform is not supported"}`,
    { data: { platform: `${process.platform}-${process.arch}`, musl } },
  );
}

let loaded: LibcSymbols | undefined;

/** The calls themselves; opened at first use. */
export function libc(): LibcSymbols {
  loaded ??= dlopen(findLibc(), signatures).symbols;
  return loaded;
}

/** The error number of the call just made. Read it before anything else happens. */
export function lastErrno(): number {
  const location = libc().__errno_location();
  return location === null ? 0 : read.i32(location, 0);
}

const lockExclusive = 2;
const lockNonBlocking = 4;
const wouldBlock = 11;
const interrupted = 4;

/** Takes an exclusive lock on an open file, which dies with the process (flock). False if another holds it. */
export function flockExclusive(fd: number): boolean {
  for (;;) {
    if (libc().flock(fd, lockExclusive | lockNonBlocking) === 0) return true;
    const errno = lastErrno();
    if (errno === wouldBlock) return false;
    if (errno !== interrupted) throw errnoError(errno, "flock", `fd ${fd}`);
  }
}

const adviceDontNeed = 4;

/** Asks the kernel to forget cached clean pages of the whole file (POSIX_FADV_DONTNEED). */
export function fadviseDontNeed(fd: number): void {
  const errno = libc().posix_fadvise(fd, 0, 0, adviceDontNeed);
  if (errno !== 0) throw errnoError(errno, "posix_fadvise", `fd ${fd}`);
}

const memfdCloseOnExec = 1;
const memfdExecutable = 0x10;

/** A file in memory that code can be loaded from: works with a read-only root and with `noexec` on every mount. Returns its descriptor. */
export function createMemoryFile(name: string): number {
  const bytes = Buffer.from(`${name}\0`);
  // Kernels from 6.3 want the intent stated (sysctl vm.memfd_noexec); older ones do not know the flag.
  for (const flags of [memfdCloseOnExec | memfdExecutable, memfdCloseOnExec]) {
    const fd = libc().memfd_create(bytes, flags);
    if (fd >= 0) return fd;
  }
  throw errnoError(lastErrno(), "memfd_create", name);
}

const eventCloseOnExec = 0o2000000;

/** A counter that a blocking read waits on. Returns its descriptor. */
export function createEventFile(): number {
  const fd = libc().eventfd(0, eventCloseOnExec);
  if (fd < 0) throw errnoError(lastErrno(), "eventfd", "");
  return fd;
}

const blockDeviceSize = 0x80081272; // BLKGETSIZE64
const blockDeviceSectorSize = 0x1268; // BLKSSZGET

/** Size and logical sector size of an open block device, in bytes. */
export function blockDeviceGeometry(fd: number, path: string): { sizeBytes: number; sectorBytes: number } {
  const size = new BigUint64Array(1);
  if (libc().ioctl(fd, blockDeviceSize, size) !== 0) throw errnoError(lastErrno(), "ioctl BLKGETSIZE64", path);
  const sector = new Int32Array(new ArrayBuffer(8));
  if (libc().ioctl(fd, blockDeviceSectorSize, sector) !== 0) throw errnoError(lastErrno(), "ioctl BLKSSZGET", path);
  return { sizeBytes: Number(size[0]), sectorBytes: sector[0] as number };
}
