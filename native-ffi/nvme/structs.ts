/** The structs of NVMe administration: the kernel's, as <linux/nvme_ioctl.h> has them, and the argument structs of libnvme 1.x. */
import { defineStruct } from "../core/struct.ts";

/** What both forms of the kernel's pass-through command begin with. */
export const passthruFields = {
  opcode: "u8",
  flags: "u8",
  rsvd1: "u16",
  nsid: "u32",
  cdw2: "u32",
  cdw3: "u32",
  metadata: "u64",
  addr: "u64",
  metadata_len: "u32",
  data_len: "u32",
  cdw10: "u32",
  cdw11: "u32",
  cdw12: "u32",
  cdw13: "u32",
  cdw14: "u32",
  cdw15: "u32",
  timeout_ms: "u32",
} as const;

export const nvmePassthruLayout = defineStruct("nvme_passthru_cmd", { ...passthruFields, result: "u32" });

export const nvmeGetLogLayout = defineStruct("nvme_get_log_args", {
  lpo: "u64",
  result: "u64",
  log: "u64",
  args_size: "i32",
  fd: "i32",
  timeout: "u32",
  lid: "i32",
  len: "u32",
  nsid: "u32",
  csi: "i32",
  lsi: "u16",
  lsp: "u8",
  uuidx: "u8",
  rae: "u8",
  ot: "u8",
});

export const nvmeIdentifyLayout = defineStruct("nvme_identify_args", {
  result: "u64",
  data: "u64",
  args_size: "i32",
  fd: "i32",
  timeout: "u32",
  cns: "i32",
  csi: "i32",
  nsid: "u32",
  cntid: "u16",
  cns_specific_id: "u16",
  uuidx: "u8",
});
