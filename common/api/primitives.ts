/** The scalar schemas that every message and resource shares. All integers fit a double exactly; on disk they are u64 or u32. */
import { z } from "zod";

export const uuidSchema = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, "must be a UUID in lower case");
/** A DNS label, as Kubernetes names nodes, pools and objects. */
export const nameSchema = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/,
    "must be lower-case letters, digits, '-' or '.', and start and end with a letter or digit",
  );
/** 0 … 2^53−1. */
export const countSchema = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
export const u32Schema = z.int().min(0).max(0xffff_ffff);
/** grant · 2^32 + incarnation; at most 2^21−1 grants a volume, so that it fits a double. */
export const epochSchema = countSchema;
export const actNoSchema = u32Schema;
export const generationSchema = u32Schema;
export const shardIndexSchema = z.int().min(0).max(47);
export const labelsSchema = z.record(z.string().max(317), z.string().max(63));
export const timestampSchema = z.iso.datetime();

/** The version of every message between brain, agents and command line. A peer of another version is refused with `IncompatibleVersion`. */
export const protocolVersion = 1;

export const zeroUuid = "00000000-0000-0000-0000-000000000000";
