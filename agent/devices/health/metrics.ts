/** What Prometheus learns of the devices' health: figures that a device does not report have no series. */
import { deviceHealthStateSchema } from "@couchestor/common/api/devices.ts";
import { Gauge, type Registry } from "prom-client";
import type { WatchedHealth } from "./health-monitor.ts";

/** Adds the metrics; they are taken from `devices` at each scrape. */
export function addDeviceHealthMetrics(registers: Registry[], devices: () => readonly WatchedHealth[]): void {
  const labelNames = ["device", "path"];
  const gauge = (name: string, help: string, value: (watched: WatchedHealth) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const watched of devices()) {
          const now = value(watched);
          if (now !== undefined) this.set({ device: watched.device.id, path: watched.device.path }, now);
        }
      },
    });
  new Gauge({
    name: "couchestor_device_health_state",
    help: "1 for the state that the device's health is in, 0 for the others.",
    labelNames: [...labelNames, "state"],
    registers,
    collect() {
      this.reset();
      for (const { device, health } of devices())
        for (const state of deviceHealthStateSchema.options)
          this.set({ device: device.id, path: device.path, state }, state === health.state ? 1 : 0);
    },
  });
  gauge("couchestor_device_temperature_celsius", "Temperature.", ({ health }) => health.temperatureCelsius);
  gauge("couchestor_device_wear_ratio", "Used part of the endurance; may pass 1.", ({ health }) => health.wearRatio);
  gauge("couchestor_device_spare_ratio", "Spare blocks that are left.", ({ health }) => health.spareRatio);
  gauge(
    "couchestor_device_media_errors_total",
    "Errors of the medium that the device could not correct, over its life.",
    ({ health }) => health.mediaErrors,
  );
  gauge(
    "couchestor_device_reallocated_sectors_total",
    "Sectors that the device has replaced, over its life.",
    ({ health }) => health.reallocatedSectors,
  );
}
