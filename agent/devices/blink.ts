/**
 * The light of a device's slot, so that a person pulls the right disk. SES enclosures, PCIe native enclosure management and PCIe slots let the
 * kernel switch one; most NVMe and SATA disks in plain slots have none, and then reading from the disk makes its activity light flicker.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Device } from "./model.ts";
import type { DeviceNodes, SysTree } from "./ports.ts";

export interface BlinkParts {
  tree: SysTree;
  nodes: Pick<DeviceNodes, "openToLook">;
  clock: Clock;
}

export interface BlinkOptions {
  forMs: number;
  activity: boolean;
  signal: AbortSignal;
}

const readBytes = 256 * 1024;
const pauseMs = 500;

/** Where the kernel switches the device's light; undefined if nowhere. */
export async function lightOf(tree: SysTree, device: Device): Promise<{ path: string; by: string } | undefined> {
  const { sysPath } = device;
  const scsi = await tree.resolve(`${sysPath}/device`);
  for (const name of scsi === undefined ? [] : await tree.list(scsi).catch(() => [])) {
    if (!name.startsWith("enclosure_device")) continue;
    const path = `${scsi}/${name}/locate`;
    if ((await tree.resolve(path)) !== undefined) return { path, by: "the locate light of its enclosure slot (SES)" };
  }
  for (const address of await pciAddresses(tree, device)) {
    const npem = `/sys/class/leds/${address}:enclosure:locate/brightness`;
    if ((await tree.resolve(npem)) !== undefined) return { path: npem, by: "the locate light of its PCIe slot (NPEM)" };
    for (const slot of await tree.list("/sys/bus/pci/slots").catch(() => [])) {
      const file = await tree.read(`/sys/bus/pci/slots/${slot}/address`);
      const at = file.state === "read" ? new TextDecoder().decode(file.bytes).trim() : "";
      const attention = `/sys/bus/pci/slots/${slot}/attention`;
      if (at === "" || !address.startsWith(at) || (await tree.resolve(attention)) === undefined) continue;
      return { path: attention, by: `the attention light of PCIe slot ${slot}` };
    }
  }
  return undefined;
}

/** PCI functions on the way to the device, the nearest first: `0000:3b:00.0`. */
async function pciAddresses(tree: SysTree, { sysPath, nvme }: Device): Promise<string[]> {
  const paths = [sysPath];
  for (const controller of nvme?.controllers ?? []) {
    paths.push((await tree.resolve(`/sys/class/nvme/${controller.slice("/dev/".length)}`)) ?? "");
  }
  return paths.flatMap((path) => (path.match(/[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]/g) ?? []).reverse());
}

/** Lets it blink and switches it off again, whatever happens. Returns which light. Throws `FailedPrecondition` where there is none. */
export async function blink(parts: BlinkParts, device: Device, options: BlinkOptions): Promise<{ by: string }> {
  const light = await lightOf(parts.tree, device);
  const { clock, tree } = parts;
  if (light !== undefined) {
    try {
      await tree.write(light.path, "1");
      await clock.sleep(options.forMs, options.signal).catch(() => undefined);
    } catch (error) {
      const code = (error as { code?: string }).code ?? String(error);
      throw new AppError(
        "FailedPrecondition",
        `device ${device.id}: ${light.path} can't be written (${code}): run as root`,
        {
          cause: error,
        },
      );
    } finally {
      await tree.write(light.path, "0").catch(() => undefined);
    }
    return { by: light.by };
  }
  if (!options.activity) {
    throw new AppError(
      "FailedPrecondition",
      `device ${device.id}: the kernel knows no light of its slot to switch. Give --activity to read from it in a rhythm, which makes its activity light flicker`,
      { data: { device: device.id } },
    );
  }
  await flicker(parts, device, options);
  return { by: "its activity light, by reading from it" };
}

/** Reads in bursts from places that are far apart, so that no cache answers for the disk. */
async function flicker({ nodes, clock }: BlinkParts, device: Device, options: BlinkOptions): Promise<void> {
  const open = await nodes.openToLook(device.path);
  try {
    const endMs = clock.monotonicMs() + options.forMs;
    const places = Math.max(1, Math.floor(open.sizeBytes / readBytes));
    const into = new Uint8Array(Math.min(readBytes, open.sizeBytes));
    for (let round = 0; clock.monotonicMs() < endMs && !options.signal.aborted; round++) {
      for (let i = 0; i < 16; i++) await open.read(into, (((round * 16 + i) * 7919) % places) * readBytes);
      await clock.sleep(pauseMs, options.signal).catch(() => undefined);
    }
  } finally {
    await open.close();
  }
}
