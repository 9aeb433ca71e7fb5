import { expect, test } from "bun:test";
import { checkIntegrity, runtimeFor } from "./runtime.ts";

test("this machine's own architecture needs no download", async () => {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  expect(await runtimeFor(arch, "/nowhere")).toBe(process.execPath);
});

test("a runtime that is not the one of the lock file is refused", async () => {
  const file = import.meta.path;
  const digest = new Bun.CryptoHasher("sha512").update(await Bun.file(file).bytes()).digest("base64");
  await checkIntegrity(file, `sha512-${digest}`, "bun");
  await expect(checkIntegrity(file, "sha512-AAAA", "bun")).rejects.toThrow("package-lock.json says sha512-AAAA");
});
