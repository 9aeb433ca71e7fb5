/** The real tree: what is missing, huge, a folder or forbidden is told apart, and nothing outside of its root is answered for. */
import { expect, test } from "bun:test";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import { deviceNumberOf } from "./device-nodes-adapter.ts";
import { systemTree } from "./sys-tree.ts";

test("files and folders as they are", async () => {
  await withTempDir("sys-tree", async (dir) => {
    const tree = systemTree(dir);
    await mkdir(join(dir, "sys/block"), { recursive: true });
    await writeFile(join(dir, "sys/size"), "12\n");
    await writeFile(join(dir, "sys/empty"), "");
    await writeFile(join(dir, "sys/huge"), new Uint8Array(70_000));
    await symlink("../size", join(dir, "sys/block/link"));
    await symlink("/etc", join(dir, "sys/block/outside"));
    expect(await tree.read("/sys/size")).toEqual({ state: "read", bytes: Buffer.from("12\n") });
    expect(await tree.read("/sys/empty")).toMatchObject({ state: "read", bytes: { byteLength: 0 } });
    expect(await tree.read("/sys/huge")).toEqual({ state: "failed", code: "EFBIG" });
    expect(await tree.read("/sys/huge", 70_000)).toMatchObject({ state: "read" });
    expect(await tree.read("/sys/nothing")).toEqual({ state: "missing" });
    expect(await tree.read("/sys/size/below")).toEqual({ state: "missing" });
    expect(await tree.read("/sys/block")).toEqual({ state: "failed", code: "EISDIR" });
    expect(await tree.list("/sys/block")).toEqual(["link", "outside"]);
    expect(await tree.list("/sys/nothing")).toEqual([]);
    expect(await tree.resolve("/sys/block/link")).toBe("/sys/size");
    expect(await tree.resolve("/sys/block/outside")).toBeUndefined();
    expect(await tree.resolve("/sys/nothing")).toBeUndefined();
    await tree.write("/sys/size", "1");
    expect(await tree.read("/sys/size")).toMatchObject({ bytes: Buffer.from("1") });
    await expect(tree.write("/sys/no/thing", "1")).rejects.toThrow("ENOENT");
  });
});

test("device numbers as the C library unpacks them", () => {
  const known = { 2049: "8:1", 66305: "259:1", 1048320: "4095:0", 19922740: "4095:4660", 68719476995: "1:16777219" };
  for (const [rdev, number] of Object.entries(known)) expect(deviceNumberOf(Number(rdev))).toBe(number);
});
