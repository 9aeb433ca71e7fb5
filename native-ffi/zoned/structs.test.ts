import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import type { StructLayout } from "../core/struct.ts";
import {
  finishZone,
  ioCommand64,
  namespaceId,
  passthru64Layout,
  reportZones,
  resetZone,
  zoneLayout,
  zoneRangeLayout,
  zoneReportLayout,
} from "./structs.ts";

const layouts: StructLayout<string>[] = [zoneReportLayout, zoneLayout, zoneRangeLayout, passthru64Layout];
const offsets = (layout: StructLayout<string>) =>
  Object.entries(layout.fields)
    .filter(([name]) => !name.startsWith("reserved"))
    .map(([name, { offset }]) => `${layout.name}.${name}=${offset}`);
const ours = [
  ...layouts.flatMap((layout) => [`${layout.name}=${layout.sizeBytes}`, ...offsets(layout)]),
  ...[reportZones, resetZone, finishZone, namespaceId, ioCommand64].map((request) => `request=${request}`),
];

test("sizes and places are those of the kernel's headers, as measured once", () => {
  expect(ours.filter((line) => /^\w+=|wp|capacity|addr|cdw10|result/.test(line))).toEqual([
    "blk_zone_report=16",
    "blk_zone=64",
    "blk_zone.wp=16",
    "blk_zone.capacity=32",
    "blk_zone_range=16",
    "nvme_passthru_cmd64=80",
    "nvme_passthru_cmd64.addr=24",
    "nvme_passthru_cmd64.cdw10=40",
    "nvme_passthru_cmd64.result=72",
    "request=3222278786",
    "request=1074795139",
    "request=1074795144",
    "request=20032",
    "request=3226488392",
  ]);
});

test("and as the C compiler here sees them, if there is one", () =>
  withTempDir("structs", async (dir) => {
    const print = layouts.flatMap((layout) => [
      `printf("${layout.name}=%zu\\n", sizeof(struct ${layout.name}));`,
      ...offsets(layout).map((line) => {
        const field = line.slice(layout.name.length + 1, line.indexOf("="));
        return `printf("${layout.name}.${field}=%zu\\n", offsetof(struct ${layout.name}, ${field}));`;
      }),
    ]);
    const names = ["BLKREPORTZONE", "BLKRESETZONE", "BLKFINISHZONE", "NVME_IOCTL_ID", "NVME_IOCTL_IO64_CMD"];
    print.push(...names.map((name) => `printf("request=%u\\n", (unsigned)${name});`));
    writeFileSync(
      `${dir}/a.c`,
      `#include <stddef.h>\n#include <stdio.h>\n#include <linux/blkzoned.h>\n#include <linux/nvme_ioctl.h>\nint main(void) { ${print.join("\n")} return 0; }\n`,
    );
    if (spawnSync("cc", ["-o", `${dir}/a`, `${dir}/a.c`]).status !== 0) {
      process.stderr.write(
        "skipped: structs of zoned devices against the kernel's headers (no C compiler, or no headers)\n",
      );
      return;
    }
    expect(spawnSync(`${dir}/a`, { encoding: "utf8" }).stdout.trim().split("\n")).toEqual(ours);
  }));
