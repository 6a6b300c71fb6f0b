import { createHash } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { GatewayLink } from "../src/gateway_link";
import { ChecksummingStack, NoAnswer, type PartTaken } from "../src/http_stack";
import { Refused } from "../src/page_state";
import { type FakeAnswer, FakeXhr } from "./fake_xhr";

function request(method: string, answer: FakeAnswer | null | "silent", more: { partTaken?: PartTaken } = {}) {
  const xhr = new FakeXhr(answer);
  const link = new GatewayLink(
    () => true,
    () => 60_000,
  );
  const newXhr = () => xhr as unknown as XMLHttpRequest;
  const stack = new ChecksummingStack({ caseId: "CS-1", link, newXhr, stallMs: 50, ...more });
  return { xhr, link, made: stack.createRequest(method, "https://gw/files/1") };
}

const problem = (status: number, code: string) => ({
  status,
  body: JSON.stringify({ code, detail: "What.", remedy: "Do." }),
});

describe("a part", () => {
  test("carries the SHA-256 of exactly the bytes that are sent", async () => {
    const { xhr, made } = request("PATCH", { status: 204 });
    await made.send(new Blob(["some bytes"]));
    const expected = createHash("sha256").update("some bytes").digest("base64");
    expect(xhr.sentHeaders["Upload-Checksum"]).toBe(`sha256 ${expected}`);
    expect(await xhr.body?.text()).toBe("some bytes");
  });

  test("is handed on once the gateway has taken it, with its offset", async () => {
    const partTaken = vi.fn<PartTaken>();
    const { made } = request("PATCH", { status: 204 }, { partTaken });
    made.fileId = "file";
    made.setHeader("Upload-Offset", "16");
    await made.send(new Blob(["abc"]));
    expect(partTaken).toHaveBeenCalledExactlyOnceWith("file", 16, expect.any(ArrayBuffer));
  });

  test("that arrived damaged is not handed on, and hinders nothing else", async () => {
    const partTaken = vi.fn<PartTaken>();
    const { made, link } = request("PATCH", problem(460, "checksum-mismatch"), { partTaken });
    made.fileId = "file";
    expect((await made.send(new Blob(["abc"]))).getStatus()).toBe(460);
    expect(partTaken).not.toHaveBeenCalled();
    expect(link.state.open).toBe(true);
  });

  test("of a file that can no longer be read fails with the browser's own error", async () => {
    const { made, xhr } = request("PATCH", { status: 204 });
    const unreadable = { arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) };
    await expect(made.send(unreadable as unknown as Blob)).rejects.toMatchObject({ name: "NotReadableError" });
    expect(xhr.body).toBeNull();
  });
});

describe("a request", () => {
  test("names its case and shows Uppy its XMLHttpRequest", () => {
    const { made, xhr } = request("POST", { status: 201 });
    expect(xhr.sentHeaders["Eft-Case"]).toBe("CS-1");
    expect(made.getUnderlyingObject()).toBe(xhr);
  });

  test("without a body carries no checksum", async () => {
    const { made, xhr } = request("HEAD", { status: 200 });
    await made.send();
    expect(xhr.sentHeaders).not.toHaveProperty("Upload-Checksum");
  });

  test("that gets no answer closes the link", async () => {
    const { made, link } = request("PATCH", null);
    await expect(made.send(new Blob(["a"]))).rejects.toBeInstanceOf(NoAnswer);
    expect(link.state).toMatchObject({ open: false, why: "unreachable" });
  });

  test("on which nothing moves is given up", async () => {
    const { made, xhr, link } = request("PATCH", "silent");
    await expect(made.send(new Blob(["a"]))).rejects.toBeInstanceOf(NoAnswer);
    expect(xhr.isAborted).toBe(true);
    expect(link.state).toMatchObject({ why: "unreachable" });
  });

  test("waits while the link is closed, and is never sent once aborted", async () => {
    const { made, xhr, link } = request("PATCH", { status: 204 });
    const send = vi.spyOn(xhr, "send");
    link.failed("unreachable");
    void made.send(new Blob(["a"]));
    await made.abort();
    link.tryNow();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(send).not.toHaveBeenCalled();
  });

  test.each([
    [problem(401, "unauthenticated"), "session-ended"],
    [problem(403, "case-closed"), "case-closed"],
    [problem(507, "storage-full"), "full"],
    [problem(503, "busy"), "busy"],
    [{ status: 502, body: "<html>" }, "unreachable"],
  ])("answered with %j closes the link", async (answer, why) => {
    const { made, link } = request("PATCH", answer);
    await made.send(new Blob(["a"]));
    expect(link.state).toMatchObject({ open: false, why });
  });

  test.each([401, 403, 422, 500, 503])(
    "for the offset, refused with %i, is no reason to begin the upload anew",
    async (status) => {
      const { made } = request("HEAD", { status });
      await expect(made.send()).rejects.toBeInstanceOf(Refused);
    },
  );

  test.each([404, 410])("for the offset of an upload that is gone (%i) lets it begin anew", async (status) => {
    const { made } = request("HEAD", { status });
    expect((await made.send()).getStatus()).toBe(status);
  });
});
