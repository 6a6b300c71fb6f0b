import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backoff, GatewayLink } from "../src/gateway_link";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function isReady(link: GatewayLink): Promise<boolean> {
  let ready = false;
  void link.ready().then(() => {
    ready = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return ready;
}

const steady = () => 1_000;

describe("the link", () => {
  test("lets everything that waited go on after its wait", async () => {
    const link = new GatewayLink(() => true, steady);
    link.failed("unreachable");
    let passed = 0;
    for (let each = 0; each < 3; each += 1) void link.ready().then(() => (passed += 1));
    await vi.advanceTimersByTimeAsync(999);
    expect(passed).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(passed).toBe(3);
  });

  test("waits for the network however long it is away, and goes on when it is back", async () => {
    let online = false;
    const link = new GatewayLink(() => online, steady);
    expect(await isReady(link)).toBe(false);
    await vi.advanceTimersByTimeAsync(7 * 24 * 3_600_000);
    expect(link.state).toMatchObject({ why: "offline" });
    online = true;
    link.networkChanged();
    expect(await isReady(link)).toBe(true);
  });

  test("does not open by time once the session has ended or the case is closed", async () => {
    const link = new GatewayLink(() => true, steady);
    link.refused("case-closed");
    await vi.advanceTimersByTimeAsync(3_600_000);
    link.tryNow();
    link.worked();
    link.networkChanged();
    expect(link.state).toMatchObject({ why: "case-closed" });
    link.allowed();
    expect(await isReady(link)).toBe(true);
  });

  test("counts failures at the same time as one", () => {
    const waits: number[] = [];
    const link = new GatewayLink(
      () => true,
      (failures) => {
        waits.push(failures);
        return 1_000;
      },
    );
    for (let each = 0; each < 5; each += 1) link.failed("unreachable");
    expect(waits).toEqual([1]);
  });
});

test("the wait grows to half a minute and no further", () => {
  const waits = [1, 2, 3, 5, 50, 5_000].map((failures) => backoff(failures, () => 0));
  expect(waits).toEqual([500, 1_000, 2_000, 8_000, 30_000, 30_000]);
});
