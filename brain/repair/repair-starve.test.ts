import { test } from "bun:test";
import { ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { TestBrain } from "../sim/test-brain.ts";

test("runs at the head of the queue that can't be repaired now do not keep those behind them from it", async () => {
  const t = await TestBrain.start();
  try {
    await t.importVolume("v1", 3);
    for (const name of ["v1-0000000000", "v1-0000000004"]) {
      const run = must(await t.store.get(ecStripeKind, name), "the run");
      await t.store.update(ecStripeKind, { ...run, spec: { ...run.spec, authority: "journal" } });
    }
    t.fleet.kill("n5");
    t.fleet.kill("n6");
    await t.until(() => t.states("v1")[2] === "Degraded", "degraded");
    await t.until(() => t.states("v1")[2] === "Healthy", "the repair of the third run", 30_000);
  } finally {
    await t.close();
  }
});
