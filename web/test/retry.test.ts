import type { DetailedError } from "tus-js-client";
import { expect, test } from "vitest";
import { NoAnswer } from "../src/http_stack";
import { failureText } from "../src/messages";
import { Refused } from "../src/page_state";
import { RetryPolicy } from "../src/retry";

function failed(status: number | null, more: { code?: string; cause?: Error; offset?: string } = {}): DetailedError {
  const body = JSON.stringify({ code: more.code ?? "", detail: "Said.", remedy: "Do." });
  return Object.assign(new Error("tus"), {
    originalRequest: { getURL: () => "/files/1", getHeader: () => more.offset ?? "0" },
    originalResponse:
      status === null ? null : { getStatus: () => status, getBody: () => body, getHeader: () => undefined },
    causingError: more.cause ?? null,
  }) as unknown as DetailedError;
}

test.each([401, 429, 500, 502, 503, 507])("status %i is tried again, however often", (status) => {
  const policy = new RetryPolicy();
  for (let each = 0; each < 500; each += 1) expect(policy.shouldRetry(failed(status))).toBe(true);
});

test("no answer at all is tried again, however often", () => {
  const policy = new RetryPolicy();
  for (let each = 0; each < 500; each += 1)
    expect(policy.shouldRetry(failed(null, { cause: new NoAnswer() }))).toBe(true);
});

test("a closed case is waited for, another refusal is not", () => {
  const policy = new RetryPolicy();
  expect(policy.shouldRetry(failed(403, { code: "case-closed" }))).toBe(true);
  expect(policy.shouldRetry(failed(403, { code: "read-only" }))).toBe(false);
});

test.each([400, 404, 410, 413, 422])("status %i is final", (status) => {
  expect(new RetryPolicy().shouldRetry(failed(status))).toBe(false);
});

test("a part that is damaged every time is given up, and one at another offset is counted anew", () => {
  const policy = new RetryPolicy();
  const tries = Array.from({ length: 8 }, () => policy.shouldRetry(failed(460)));
  expect(tries.filter(Boolean)).toHaveLength(6);
  expect(policy.shouldRetry(failed(460, { offset: "16" }))).toBe(true);
});

test("a HEAD that was refused is judged by its own status", () => {
  expect(new RetryPolicy().shouldRetry(failed(null, { cause: new Refused(503, "") }))).toBe(true);
  expect(new RetryPolicy().shouldRetry(failed(null, { cause: new Refused(422, "") }))).toBe(false);
});

test("a file that cannot be read is not tried again, and is told so", () => {
  const error = failed(null, { cause: new DOMException("x", "NotReadableError") });
  expect(new RetryPolicy().shouldRetry(error)).toBe(false);
  expect(failureText(error)).toContain("can no longer be read");
});

test("a refusal without words of its own tells what the gateway said", () => {
  expect(failureText(failed(400, { code: "name-not-allowed" }))).toBe("Said. Do.");
});
