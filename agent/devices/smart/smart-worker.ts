/** The worker that asks devices for their health: the ioctls block for as long as a device takes, which a dying one draws out. */
import { readDeviceHealth } from "./device-adapter.ts";
import { type SmartTarget, smartReadError } from "./smart-reader.ts";
import type { SmartReply } from "./worker-reader.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<SmartTarget>) => {
  let reply: SmartReply;
  try {
    reply = { reading: readDeviceHealth(data) };
  } catch (error) {
    const { failure, message } = smartReadError(error, data.path);
    reply = { failure, message };
  }
  self.postMessage(reply);
};
