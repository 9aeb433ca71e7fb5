/** What Prometheus learns of which devices there are; their health is `health/metrics.ts`. */
import { Gauge, type Registry } from "prom-client";
import type { Device } from "./model.ts";

/** Adds the metrics; they are taken from `devices` at each scrape. */
export function addDeviceMetrics(registers: Registry[], devices: () => readonly Device[]): void {
  new Gauge({
    name: "couchestor_device_info",
    help: "1 for each device that is there, with what it is as labels.",
    labelNames: ["device", "path", "model", "serial", "firmware", "transport", "media", "tier", "pool"],
    registers,
    collect() {
      this.reset();
      for (const device of devices()) {
        const { id, path, model = "", serial = "", firmware = "", transport, tier, label } = device;
        const pool = label?.poolName ?? "";
        this.set({ device: id, path, model, serial, firmware, transport, media: mediaOf(device), tier, pool }, 1);
      }
    },
  });
  const labelNames = ["device", "path"];
  new Gauge({
    name: "couchestor_device_capacity_bytes",
    help: "Size of the device.",
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { id, path, capacityBytes } of devices()) this.set({ device: id, path }, capacityBytes);
    },
  });
  new Gauge({
    name: "couchestor_device_state",
    help: "1 for the state that the device is in: free, active (in use by others), content (data of others on it), ours, unfit.",
    labelNames: [...labelNames, "state"],
    registers,
    collect() {
      this.reset();
      for (const { id, path, inUse } of devices()) this.set({ device: id, path, state: inUse[0]?.kind ?? "free" }, 1);
    },
  });
}

function mediaOf({ rotational, zoned }: Device): string {
  if (rotational === undefined) return "unknown";
  const medium = rotational ? "hdd" : "ssd";
  return zoned === "none" ? medium : `${medium}-zoned`;
}
