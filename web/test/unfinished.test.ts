import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { fingerprint } from "../src/fingerprint";
import type { UnfinishedUpload } from "../src/page_state";
import { listedUnfinished, matchUnfinished } from "../src/unfinished";

const upload = (more: Partial<UnfinishedUpload>): UnfinishedUpload => ({
  id: "1",
  name: "a.log",
  offset: 100,
  length: 200,
  state: "receiving",
  source: "https",
  created_at: "2026-11-01T00:00:00Z",
  expires_at: null,
  fingerprint: "aa",
  ...more,
});
const picked = { name: "a.log", path: "", size: 200, fingerprint: "aa" };
const none = new Set<string>();

describe("a picked file", () => {
  test("goes on with the upload of the same content", () => {
    const begun = upload({});
    expect(matchUnfinished(picked, [begun], none)).toEqual({ kind: "resume", upload: begun });
  });

  test.each([{ fingerprint: "bb" }, { fingerprint: null }, { length: 201 }])("is not spliced onto %j", (more) => {
    expect(matchUnfinished(picked, [upload(more)], none).kind).not.toBe("resume");
  });

  test("of the same name and other content is told apart", () => {
    expect(matchUnfinished(picked, [upload({ fingerprint: "bb" })], none).kind).toBe("other-file");
  });

  test("of another name is a file of its own, though its content is the same", () => {
    expect(matchUnfinished({ ...picked, name: "b.log" }, [upload({})], none).kind).toBe("new");
  });

  test("without its folder goes on with the upload from the folder", () => {
    expect(matchUnfinished(picked, [upload({ name: "dir/a.log" })], none).kind).toBe("resume");
  });

  test("takes the upload at its own path before one elsewhere", () => {
    const elsewhere = upload({ id: "2", name: "dir/a.log", offset: 150 });
    expect(matchUnfinished(picked, [elsewhere, upload({})], none)).toMatchObject({ upload: { id: "1" } });
  });

  test("does not share an upload with another file", () => {
    expect(matchUnfinished(picked, [upload({})], new Set(["1"])).kind).toBe("new");
  });
});

test("what this page is sending is not listed as unfinished", () => {
  const uploads = [upload({}), upload({ id: "2", offset: 0, fingerprint: "cc" }), upload({ id: "3", offset: 0 })];
  expect(listedUnfinished(uploads, new Set(["1"]), new Set(["cc"])).map(({ id }) => id)).toEqual(["3"]);
});

describe("the fingerprint", () => {
  const MIB = 1024 * 1024;
  const expected = (all: Buffer) =>
    createHash("sha256")
      .update(`${all.length}\n`)
      .update(all.subarray(0, MIB))
      .update(all.subarray(Math.max(0, all.length - MIB)))
      .digest("hex");

  test.each([0, 1, MIB, MIB + 1, 5 * MIB])("of %i bytes is that of size, first MiB and last MiB", async (size) => {
    const all = Buffer.alloc(size, "xyz");
    expect(await fingerprint(new Blob([all]))).toBe(expected(all));
  });

  test("sees a change of size, beginning and end", async () => {
    const of = (change: (all: Buffer) => Buffer) =>
      fingerprint(new Blob([new Uint8Array(change(Buffer.alloc(3 * MIB, 1)))]));
    const prints = await Promise.all([
      of((all) => all),
      of((all) => all.subarray(1)),
      of((all) => all.fill(2, 0, 1)),
      of((all) => all.fill(2, all.length - 1)),
    ]);
    expect(new Set(prints).size).toBe(4);
  });
});
