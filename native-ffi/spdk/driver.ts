/**
 * The NVMe driver in user space behind `couchestor_spdk.h`, loaded at run time: SPDK's, or the mock over files. One in a process, since SPDK
 * takes hold of memory and processors once and for all.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { errnoError } from "../core/errno.ts";
import { type LibraryName, loadLibrary } from "../core/load.ts";
import { cString } from "../core/memory.ts";
import { isCompiled } from "../core/platform.ts";
import { abiVersion, controllerInfo, signatures } from "./structs.ts";

export type DriverKind = "spdk" | "spdk-mock";

const libraries: Record<DriverKind, LibraryName> = {
  spdk: {
    name: "libcouchestor_spdk",
    sonames: ["libcouchestor_spdk.so.1"],
    environmentVariable: "COUCHESTOR_SPDK",
  },
  "spdk-mock": {
    name: "libcouchestor_spdk_mock",
    sonames: ["libcouchestor_spdk_mock.so.1"],
    environmentVariable: "COUCHESTOR_SPDK_MOCK",
  },
};

const howToGet: Record<DriverKind, string> = {
  spdk:
    "it is not part of this program and no distribution packages it: build SPDK, then its shim with native-ffi/spdk/build (docs/spdk.md), and " +
    "give the path in COUCHESTOR_SPDK. Without it use --io-engine libaio, the default",
  "spdk-mock":
    "build it with native-ffi/spdk/build mock (a C compiler is needed), or give the path in COUCHESTOR_SPDK_MOCK",
};

export type DriverCalls = NonNullable<ReturnType<typeof loadLibrary<typeof signatures>>["library"]>["symbols"];

export interface ControllerInfo {
  /** A PCI address, such as `0000:5e:00.0`. */
  address: string;
  serial: string;
  model: string;
  firmware: string;
  namespaces: number;
  /** The most bytes in one command. */
  transferBytesMax: number;
}

export interface Driver {
  readonly kind: DriverKind;
  readonly calls: DriverCalls;
  /** Controllers that could be attached. None of them is touched. */
  probe(): ControllerInfo[];
  /** Throws what a negative result means, in the driver's words. */
  check(result: number, operation: string, path: string): number;
}

let running: { driver: Driver; options: string } | undefined;

/** Folders of the checkout where `native-ffi/spdk/build` leaves them. */
function built(kind: DriverKind): string | undefined {
  const path = join(import.meta.dir, "../../.deps/spdk", `${libraries[kind].name}.so.1`);
  return !isCompiled() && existsSync(path) ? path : undefined;
}

/**
 * Loads and starts the driver; the same again for the same arguments. Throws `FailedPrecondition` that says how to get it when it is not there, or why
 * it does not start, and when another kind is running.
 */
export function startDriver(kind: DriverKind, options: string): Driver {
  if (running) {
    if (running.driver.kind === kind && running.options === options) return running.driver;
    throw new AppError(
      "FailedPrecondition",
      `--io-engine: ${running.driver.kind} runs with "${running.options}" in this process`,
    );
  }
  const driver = loadDriver(kind);
  const result = driver.calls.cs_init(cString(options));
  if (result < 0) {
    throw new AppError("FailedPrecondition", `--io-engine ${kind}: ${words(driver.calls)}`, {
      cause: errnoError(-result, "start", kind),
      data: { field: "--io-engine-options", came: options },
    });
  }
  running = { driver, options };
  return driver;
}

/** For tests: lets the next start be another. */
export function stopDriver(): void {
  running?.driver.calls.cs_fini();
  running = undefined;
}

function loadDriver(kind: DriverKind): Driver {
  const name = libraries[kind];
  const path = built(kind);
  if (path !== undefined) process.env[name.environmentVariable] ??= path;
  const { library, notes } = loadLibrary(name, signatures);
  if (!library) {
    throw new AppError("FailedPrecondition", `--io-engine ${kind}: ${notes.join("; ")}: ${howToGet[kind]}`, {
      data: { field: "--io-engine", came: kind },
    });
  }
  const calls = library.symbols;
  const version = calls.cs_abi_version();
  if (version !== abiVersion) {
    throw new AppError(
      "IncompatibleVersion",
      `--io-engine ${kind}: ${library.path} speaks version ${version}, this program ${abiVersion}: build it from the same sources`,
    );
  }
  const check = (result: number, operation: string, where: string): number => {
    if (result >= 0) return result;
    throw errnoError(-result, `${operation} (${words(calls)})`, where);
  };
  return { kind, calls, check, probe: () => probe(calls, check) };
}

function words(calls: DriverCalls): string {
  return String(calls.cs_last_error() ?? "no reason given").slice(0, 500);
}

const controllersMax = 256;

function probe(calls: DriverCalls, check: Driver["check"]): ControllerInfo[] {
  const bytes = new Uint8Array(controllersMax * controllerInfo.sizeBytes);
  const found = Math.min(controllersMax, check(calls.cs_probe(bytes, controllersMax), "probe", "NVMe controllers"));
  return Array.from({ length: found }, (_, i) => readControllerInfo(bytes, i * controllerInfo.sizeBytes));
}

/** Reads a `struct cs_controller_info`. */
export function readControllerInfo(bytes: Uint8Array, at = 0): ControllerInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, controllerInfo.sizeBytes);
  const text = ([offset, length]: readonly [number, number]) => {
    const field = bytes.subarray(at + offset, at + offset + length);
    const end = field.indexOf(0);
    return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end)).trim();
  };
  return {
    address: text(controllerInfo.address),
    serial: text(controllerInfo.serial),
    model: text(controllerInfo.model),
    firmware: text(controllerInfo.firmware),
    namespaces: view.getUint32(controllerInfo.namespaces[0], true),
    transferBytesMax: view.getUint32(controllerInfo.transferBytesMax[0], true),
  };
}
