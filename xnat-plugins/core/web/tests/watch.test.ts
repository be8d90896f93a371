import { describe, expect, it, vi } from "vitest";
import { poll } from "../src/ui/poll";
import { type Expected, waitForResult } from "../src/review/watch";
import type { Run } from "../src/xnat/processing";
import { Peer, tableOf } from "./peer";

const STUDY = {
  project: "BTS",
  resultType: "braintumor:resultData",
  wrapperName: "segment",
  recomputeWrapperName: "measure",
};
const expected = (known: ReadonlySet<string>, onRun: (run: Run) => void = () => undefined): Expected => ({
  manifest: STUDY,
  examId: "E1",
  known,
  onRun,
});
const QUICK = { firstMs: 1, factor: 1, maxMs: 1, giveUpMs: 30 };
const RESULT = { ID: "R2", label: "BT-EDIT", xsiType: "braintumor:resultData" };
const COLLECTION = { ID: "C1", label: "AI-1", xsiType: "icr:roiCollectionData" };
const KNOWN = new Set(["R1", "C1"]);
const never = (): AbortSignal => new AbortController().signal;

describe("waitForResult", () => {
  it("comes back as soon as a result is there that was not known", async () => {
    let asked = 0;
    const peer = new Peer().on("GET /data/experiments/E1/assessors", () =>
      tableOf({ ...RESULT, ID: "R1" }, COLLECTION, ...(++asked < 3 ? [] : [RESULT])),
    );
    expect(await waitForResult(peer.client, expected(KNOWN), never(), QUICK)).toEqual({
      kind: "arrived",
      resultIds: ["R2"],
    });
    expect(asked).toBe(3);
  });

  it("does not believe a result without a mask as long as something runs, and tells how far that is", async () => {
    const statuses = ["Running", "Finalizing", "Complete"];
    const peer = new Peer()
      .on("GET /data/experiments/E1/assessors", tableOf(RESULT))
      .on("GET /data/services/workflows", () =>
        tableOf({
          workflow_id: "7",
          id: "E1",
          pipeline_name: "segment",
          status: statuses.shift() ?? "",
          percentageComplete: "55",
        }),
      );
    const runs: Run[] = [];
    expect(
      await waitForResult(
        peer.client,
        expected(new Set(), (run) => runs.push(run)),
        never(),
        QUICK,
      ),
    ).toMatchObject({ kind: "arrived" });
    expect(runs.map((run) => [run.state, run.progressPct])).toEqual([
      ["running", 55],
      ["running", 55],
      ["complete", 55],
    ]);
  });

  it("tells why measuring a new collection failed", async () => {
    const peer = new Peer()
      .on("GET /data/experiments/E1/assessors", tableOf({ ...COLLECTION, ID: "C2" }))
      .on("GET /data/services/workflows", (call) =>
        tableOf({
          workflow_id: "9",
          id: call.query.get("experiment") ?? "",
          pipeline_name: "measure",
          status: "Failed",
        }),
      )
      .on("GET /xapi/projects/BTS/containers", [
        { id: 1, "workflow-id": "9", status: "Failed", reason: "geometry differs" },
      ]);
    expect(await waitForResult(peer.client, expected(KNOWN), never(), QUICK)).toEqual({
      kind: "failed",
      reason: "geometry differs",
    });
    expect(peer.calls.find((call) => call.path === "/data/services/workflows")?.query.get("experiment")).toBe("C2");
  });

  it("gives up after a while", async () => {
    const peer = new Peer().on("GET /data/experiments/E1/assessors", tableOf());
    expect(await waitForResult(peer.client, expected(KNOWN), never(), QUICK)).toEqual({ kind: "late" });
  });
});

describe("poll", () => {
  it("waits longer each time, up to a limit", async () => {
    vi.useFakeTimers();
    try {
      const at: number[] = [];
      const start = Date.now();
      const ask = async (): Promise<true | null> => {
        at.push(Date.now() - start);
        return at.length === 4 ? true : null;
      };
      const waiting = poll(ask, { firstMs: 100, factor: 3, maxMs: 400, giveUpMs: 10_000 }, never());
      await vi.advanceTimersByTimeAsync(2000);
      expect(await waiting).toBe(true);
      expect(at).toEqual([0, 100, 400, 800]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("stops at once when it is told to", async () => {
    const controller = new AbortController();
    const waiting = poll(
      async () => null,
      { firstMs: 60_000, factor: 1, maxMs: 60_000, giveUpMs: 600_000 },
      controller.signal,
    );
    controller.abort();
    expect(await waiting).toBeNull();
  });

  it("lets an error through", async () => {
    await expect(poll(() => Promise.reject(new Error("gone")), QUICK, never())).rejects.toThrow("gone");
  });
});
