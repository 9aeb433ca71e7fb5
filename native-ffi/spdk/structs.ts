/** The structs and calls of `couchestor_spdk.h`. Texts in structs are not laid out field by field: they have fixed places. */
import type { FFIFunction } from "bun:ffi";
import { defineStruct } from "../core/struct.ts";

export const abiVersion = 1;

/** `struct cs_controller_info`, whose texts come first. */
export const controllerInfo = {
  sizeBytes: 160,
  address: [0, 64],
  serial: [64, 24],
  model: [88, 48],
  firmware: [136, 16],
  namespaces: [152, 4],
  transferBytesMax: [156, 4],
} as const;

export const namespaceInfoLayout = defineStruct("cs_namespace_info", {
  blocks: "u64",
  zone_blocks: "u64",
  block_bytes: "u32",
  nsid: "u32",
  zones: "u32",
  active_zones_max: "u32",
  open_zones_max: "u32",
  append_bytes_max: "u32",
});

export const completionLayout = defineStruct("cs_completion", {
  tag: "u64",
  result: "u64",
  status: "u32",
  reserved: "u32",
});

/** The actions of `cs_zone_send`. */
export const zoneAction = { close: 1, finish: 2, open: 3, reset: 4 } as const;

const command = (...extra: FFIFunction["args"] & object) =>
  ({ args: ["u64", "u64", ...extra, "u64"], returns: "i32" }) as const satisfies FFIFunction;

export const signatures = {
  cs_abi_version: { args: [], returns: "u32" },
  cs_last_error: { args: [], returns: "cstring" },
  cs_init: { args: ["ptr"], returns: "i32" },
  cs_fini: { args: [], returns: "void" },
  cs_probe: { args: ["ptr", "u32"], returns: "i32" },
  cs_attach: { args: ["ptr", "ptr"], returns: "i32" },
  cs_detach: { args: ["u64"], returns: "i32" },
  cs_describe: { args: ["u64", "ptr"], returns: "i32" },
  cs_namespace_open: { args: ["u64", "u32", "ptr", "ptr"], returns: "i32" },
  // Addresses are below 2^53: as numbers they cost no bigint.
  cs_dma_alloc: { args: ["u64", "u64"], returns: "ptr" },
  cs_dma_free: { args: ["u64"], returns: "void" },
  cs_queue_open: { args: ["u64", "u32", "ptr"], returns: "i32" },
  cs_queue_close: { args: ["u64"], returns: "i32" },
  cs_read: command("u64", "u64", "u32"),
  cs_write: command("u64", "u64", "u32"),
  cs_flush: command(),
  cs_zone_append: command("u64", "u64", "u32"),
  cs_zone_report: command("u64", "u32", "u64"),
  cs_zone_send: command("u64", "u32"),
  cs_health_page: { args: ["u64", "u64", "u64"], returns: "i32" },
  cs_poll: { args: ["u64", "ptr", "u32"], returns: "i32" },
} as const satisfies Record<string, FFIFunction>;
