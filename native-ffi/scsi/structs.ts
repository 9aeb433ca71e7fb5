/** The struct of the SCSI generic ioctl, as <scsi/sg.h> has it. */
import { defineStruct } from "../core/struct.ts";

export const sgIoLayout = defineStruct("sg_io_hdr", {
  interface_id: "i32",
  dxfer_direction: "i32",
  cmd_len: "u8",
  mx_sb_len: "u8",
  iovec_count: "u16",
  dxfer_len: "u32",
  dxferp: "u64",
  cmdp: "u64",
  sbp: "u64",
  timeout: "u32",
  flags: "u32",
  pack_id: "i32",
  usr_ptr: "u64",
  status: "u8",
  masked_status: "u8",
  msg_status: "u8",
  sb_len_wr: "u8",
  host_status: "u16",
  driver_status: "u16",
  resid: "i32",
  duration: "u32",
  info: "u32",
});
