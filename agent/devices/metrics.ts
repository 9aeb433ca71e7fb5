/** What Prometheus learns of which devices there are; their health is `health/metrics.ts`. */
import type { AddGauge } from "@couchestor/common/observe/sampled-gauge.ts";
import type { Device } from "./model.ts";

/** Adds the metrics; they are taken from `devices` at each scrape. */
export function addDeviceMetrics(gauge: AddGauge, devices: () => readonly Device[]): void {
  gauge(
    "couchestor_device_info",
    "1 for each device that is there, with what it is as labels.",
    ["device", "path", "model", "serial", "firmware", "transport", "media", "tier", "pool"],
    () =>
      devices().map((device) => {
        const { id, path, model = "", serial = "", firmware = "", transport, tier, label } = device;
        const pool = label?.poolName ?? "";
        const labels = { device: id, path, model, serial, firmware, transport, media: mediaOf(device), tier, pool };
        return { labels, value: 1 };
      }),
  );
  gauge("couchestor_device_capacity_bytes", "Size of the device.", ["device", "path"], () =>
    devices().map(({ id, path, capacityBytes }) => ({ labels: { device: id, path }, value: capacityBytes })),
  );
  gauge(
    "couchestor_device_state",
    "1 for the state that the device is in: free, active (in use by others), content (data of others on it), ours, unfit.",
    ["device", "path", "state"],
    () =>
      devices().map(({ id, path, inUse }) => ({
        labels: { device: id, path, state: inUse[0]?.kind ?? "free" },
        value: 1,
      })),
  );
}

function mediaOf({ rotational, zoned }: Device): string {
  if (rotational === undefined) return "unknown";
  const medium = rotational ? "hdd" : "ssd";
  return zoned === "none" ? medium : `${medium}-zoned`;
}
