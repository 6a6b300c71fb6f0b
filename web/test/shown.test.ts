import { describe, expect, test } from "vitest";
import { Board } from "../src/board";
import { sha256OfReprDigest } from "../src/digests";
import { bytes, duration, percent } from "../src/format";
import { noticeOf } from "../src/messages";
import { Pace } from "../src/pace";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 MiB".replace("M", "K")],
  [1024 ** 2 - 1, "1.0 MiB"],
  [5 * 1024 ** 3, "5.0 GiB"],
  [230 * 1024 ** 3, "230 GiB"],
])("%i bytes are %s", (count, text) => expect(bytes(count)).toBe(text));

test.each([
  [0.2, "1 s"],
  [59, "59 s"],
  [90, "2 min"],
  [7_800, "2 h 10 min"],
  [400_000, "5 d"],
])("%d seconds are %s", (seconds, text) => expect(duration(seconds)).toBe(text));

test("100 percent is the last byte and nothing before", () => {
  expect([percent(999_999, 1_000_000), percent(1, 1), percent(0, 0)]).toEqual([99, 100, 100]);
});

describe("the pace", () => {
  test("is that of the last seconds", () => {
    const pace = new Pace();
    for (let second = 0; second <= 60; second += 1) pace.saw(second < 30 ? 0 : (second - 30) * 100, second * 1_000);
    expect(pace.speed(60_000)).toBeCloseTo(100, 0);
    expect(pace.secondsFor(1_000, 60_000)).toBeCloseTo(10, 0);
  });

  test("does not take what an earlier visit sent for speed", () => {
    const pace = new Pace();
    pace.saw(1_000_000, 0);
    pace.saw(1_000_100, 1_000);
    expect(pace.speed(1_000)).toBe(100);
  });

  test("falls while nothing moves", () => {
    const pace = new Pace();
    pace.saw(0, 0);
    pace.saw(1_000, 1_000);
    expect(pace.speed(10_000)).toBe(100);
  });
});

test("a digest is read from Repr-Digest among others", () => {
  const zeros = "A".repeat(43);
  expect(sha256OfReprDigest(`sha-512=:AAAA:, sha-256=:${zeros}=:`)).toBe("0".repeat(64));
  expect(sha256OfReprDigest("sha-512=:AAAA:")).toBeNull();
  expect(sha256OfReprDigest(null)).toBeNull();
});

test("every hindrance says that nothing is lost or kept, and what to do", () => {
  for (const why of ["offline", "unreachable", "busy", "full", "session-ended", "case-closed"] as const) {
    const notice = noticeOf({ open: false, why, retryAt: 5_000 }, 0);
    expect(notice?.text).toMatch(/Nothing is lost|kept/);
    expect(notice?.canTryNow || notice?.toPortal).toBe(true);
  }
  expect(noticeOf({ open: true }, 0)).toBeNull();
});

test("a finished file is not made unfinished by progress that is told late", () => {
  const board = new Board();
  board.add([{ id: "1", name: "a", size: 10 }]);
  board.change("1", { stage: "verified", sent: 10 });
  board.moved("1", 5, 0);
  expect(board.get("1")).toMatchObject({ stage: "verified", sent: 10 });
  expect(board.active).toBe(0);
});
