/** The structs of asynchronous I/O, as <linux/aio_abi.h> has them. */
import { defineStruct } from "../core/struct.ts";

export const iocbLayout = defineStruct("iocb", {
  aio_data: "u64",
  aio_key: "u32",
  aio_rw_flags: "u32",
  aio_lio_opcode: "u16",
  aio_reqprio: "i16",
  aio_fildes: "u32",
  aio_buf: "u64",
  aio_nbytes: "u64",
  aio_offset: "i64",
  aio_reserved2: "u64",
  aio_flags: "u32",
  aio_resfd: "u32",
});

export const ioEventLayout = defineStruct("io_event", { data: "u64", obj: "u64", res: "i64", res2: "i64" });

export const opcodeRead = 0; // IOCB_CMD_PREAD
export const opcodeWrite = 1; // IOCB_CMD_PWRITE
export const flagEventFile = 1; // IOCB_FLAG_RESFD
