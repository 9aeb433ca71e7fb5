import { expect, test } from "bun:test";
import { join } from "node:path";
import { tempDir } from "./temp-dir.ts";

/** The first cases that a property draws in a test run of its own. */
async function drawn(environment: Record<string, string>): Promise<string> {
  await using dir = await tempDir("seed");
  const file = join(dir.path, "drawn.test.ts");
  await Bun.write(
    file,
    `import fc from ${JSON.stringify(import.meta.resolve("fast-check"))};
    import { test } from "bun:test";
    test("draws", () => console.log("drawn " + JSON.stringify(fc.sample(fc.nat(), 8))));`,
  );
  const preload = join(import.meta.dir, "seed.ts");
  const { COUCHESTOR_SEED: _, ...own } = process.env;
  const run = Bun.spawnSync([process.execPath, "test", "--preload", preload, file], {
    env: { ...own, ...environment },
    cwd: dir.path,
  });
  return /^drawn .*$/m.exec(run.stdout.toString())?.[0] ?? run.stderr.toString();
}

test("a seed in the environment is every property's, and without one each run draws anew", async () => {
  const seeded = await drawn({ COUCHESTOR_SEED: "7" });
  expect(seeded).toStartWith("drawn [");
  expect(await drawn({ COUCHESTOR_SEED: "7" })).toBe(seeded);
  expect(await drawn({ COUCHESTOR_SEED: "8" })).not.toBe(seeded);
  expect(await drawn({})).not.toBe(await drawn({}));
});
