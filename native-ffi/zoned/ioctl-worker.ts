/**
 * Runs ioctls that may take long, in a thread of its own. A message names a descriptor, a request and the addresses of its arguments, in memory that
 * the sender keeps alive; they are done one after the other until one fails.
 */
import { lastErrno, libc } from "../libc/libc.ts";
import type { IoctlOrder, IoctlOutcome } from "./ioctl-thread.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<IoctlOrder>) => {
  const { id, fd, request, addresses } = data;
  let outcome: IoctlOutcome = { id, done: 0, result: 0, errno: 0 };
  for (const address of addresses) {
    const result = libc().ioctl(fd, request, address as never);
    const errno = result < 0 ? lastErrno() : 0;
    outcome = { ...outcome, result, errno, done: outcome.done + (result === 0 ? 1 : 0) };
    if (result !== 0) break;
  }
  postMessage(outcome);
};
