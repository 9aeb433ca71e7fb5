/** What sysfs tells of an NVMe namespace: its controllers and its names. */
import type { NvmeFacts } from "@couchestor/common/api/local-devices.ts";
import type { SysReader } from "./sys-reader.ts";

export interface NvmeReading {
  facts: NvmeFacts;
  transport: string | undefined;
  numaNode: number | undefined;
}

/** A path of multipath to a namespace, `nvme<subsystem>c<controller>n<head>`: hidden, and no device of its own. */
export const hiddenPath = /^nvme\d+c\d+n\d+$/;

/**
 * Reads a namespace. With multipath in the kernel it hangs under its subsystem and its controllers are those whose hidden paths lead to it;
 * without, its parent is the controller. `names` are all of `/sys/block`.
 */
export async function readNvme(
  reader: SysReader,
  name: string,
  sysPath: string,
  names: readonly string[],
): Promise<NvmeReading> {
  const parent = sysPath.slice(0, sysPath.lastIndexOf("/"));
  const folders = await controllersOf(reader, name, parent, names);
  const read = await Promise.all(
    folders.map(async (folder) => ({
      path: `/dev/${folder.slice(folder.lastIndexOf("/") + 1)}`,
      live: (await reader.text(`${folder}/state`)) === "live",
      transport: await reader.text(`${folder}/transport`),
      numaNode: await reader.count(`${folder}/numa_node`),
    })),
  );
  const sorted = [...read.filter(({ live }) => live), ...read.filter(({ live }) => !live)];
  const subsystemNqn = await reader.text(`${sysPath}/device/subsysnqn`);
  const nguid = hexOf(await reader.text(`${sysPath}/nguid`), 32);
  const eui64 = hexOf(await reader.text(`${sysPath}/eui`), 16);
  return {
    facts: {
      controllers: sorted.map(({ path }) => path),
      namespaceId: (await reader.count(`${sysPath}/nsid`)) ?? 1,
      ...(nguid === undefined ? {} : { nguid }),
      ...(eui64 === undefined ? {} : { eui64 }),
      ...(subsystemNqn === undefined ? {} : { subsystemNqn }),
    },
    transport: sorted[0]?.transport,
    numaNode: sorted.find(({ numaNode }) => numaNode !== undefined)?.numaNode,
  };
}

async function controllersOf(
  reader: SysReader,
  name: string,
  parent: string,
  names: readonly string[],
): Promise<string[]> {
  if (!/\/nvme-subsys\d+$/.test(parent)) return [parent];
  const [, subsystem, head] = /^nvme(\d+)n(\d+)$/.exec(name) ?? [];
  const numbers = names
    .map((other) => /^nvme(\d+)c(\d+)n(\d+)$/.exec(other))
    .filter((match) => match?.[1] === subsystem && match?.[3] === head)
    .map((match) => match?.[2] ?? "");
  const links = numbers.map((number) => `${parent}/nvme${number}`);
  // A subsystem whose paths are not shown: all its controllers.
  if (links.length === 0) {
    links.push(...(await reader.names(parent)).filter((n) => /^nvme\d+$/.test(n)).map((n) => `${parent}/${n}`));
  }
  const resolved = await Promise.all(links.map((link) => reader.tree.resolve(link)));
  return resolved.filter((path) => path !== undefined);
}

/** Hexadecimal without blanks and hyphens; undefined if it is of another length, or all zeros. */
function hexOf(text: string | undefined, digits: number): string | undefined {
  const hex = text?.replace(/[\s-]/g, "").toLowerCase();
  return hex !== undefined && hex.length === digits && /^[0-9a-f]+$/.test(hex) && !/^0+$/.test(hex) ? hex : undefined;
}
