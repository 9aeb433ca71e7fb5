/** What Prometheus learns of the devices' health: figures that a device does not report have no series. */
import { deviceHealthStateSchema } from "@couchestor/common/api/devices.ts";
import { type AddGauge, sampleOf } from "@couchestor/common/observe/sampled-gauge.ts";
import type { WatchedHealth } from "./health-monitor.ts";

/** Adds the metrics; they are taken from `devices` at each scrape. */
export function addDeviceHealthMetrics(gauge: AddGauge, devices: () => readonly WatchedHealth[]): void {
  const labelNames = ["device", "path"];
  const labelsOf = ({ device: { id, path } }: WatchedHealth) => ({ device: id, path });
  const figure = (name: string, help: string, value: (watched: WatchedHealth) => number | undefined) =>
    gauge(name, help, labelNames, () =>
      devices().flatMap((watched) =>
        sampleOf(value(watched)).map((sample) => ({ ...sample, labels: labelsOf(watched) })),
      ),
    );
  gauge(
    "couchestor_device_health_state",
    "1 for the state that the device's health is in, 0 for the others.",
    [...labelNames, "state"],
    () =>
      devices().flatMap((watched) =>
        deviceHealthStateSchema.options.map((state) => ({
          labels: { ...labelsOf(watched), state },
          value: state === watched.health.state ? 1 : 0,
        })),
      ),
  );
  figure("couchestor_device_temperature_celsius", "Temperature.", ({ health }) => health.temperatureCelsius);
  figure("couchestor_device_wear_ratio", "Used part of the endurance; may pass 1.", ({ health }) => health.wearRatio);
  figure("couchestor_device_spare_ratio", "Spare blocks that are left.", ({ health }) => health.spareRatio);
  figure(
    "couchestor_device_media_errors_total",
    "Errors of the medium that the device could not correct, over its life.",
    ({ health }) => health.mediaErrors,
  );
  figure(
    "couchestor_device_reallocated_sectors_total",
    "Sectors that the device has replaced, over its life.",
    ({ health }) => health.reallocatedSectors,
  );
}
