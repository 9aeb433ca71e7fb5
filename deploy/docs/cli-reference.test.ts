import { expect, test } from "bun:test";
import { cliReference, cliReferencePath } from "./cli-reference.ts";

test("docs/cli.md says what --help says (mend with: bun deploy/docs/cli-reference.ts)", async () => {
  expect(await Bun.file(cliReferencePath).text()).toBe(cliReference());
});
