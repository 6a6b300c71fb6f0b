import { createHash, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { newSha256 } from "../src/sha256";

const content = randomBytes(1_000_003);
const expected = createHash("sha256").update(content).digest("hex");

test.each([
  ["WebAssembly", undefined],
  ["JavaScript, where WebAssembly is forbidden", () => Promise.reject(new Error("forbidden"))],
])("counts the same in %s", async (_, make) => {
  const hash = await newSha256(make);
  for (let at = 0; at < content.length; at += 65_521) hash.update(content.subarray(at, at + 65_521));
  expect(hash.digest()).toBe(expected);
});
