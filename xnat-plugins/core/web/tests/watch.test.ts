import { describe, expect, it, vi } from "vitest";
import { poll } from "../src/ui/poll";
import { waitForResult } from "../src/review/watch";
import { Peer, tableOf } from "./peer";

const STUDY = { project: "BTS", resultType: "braintumor:resultData" };
const QUICK = { firstMs: 1, factor: 1, maxMs: 1, giveUpMs: 30 };
const RESULT = { ID: "R2", label: "BT-EDIT", xsiType: "braintumor:resultData" };
const COLLECTION = { ID: "C1", label: "AI-1", xsiType: "icr:roiCollectionData" };
const KNOWN = new Set(["R1", "C1"]);
const never = (): AbortSignal => new AbortController().signal;

describe("waitForResult", () => {
  it("comes back as soon as a result is there that was not known", async () => {
    let asked = 0;
    const peer = new Peer().on("GET /data/experiments/E1/assessors", () => tableOf({ ...RESULT, ID: "R1" }, COLLECTION, ...(++asked < 3 ? [] : [RESULT])));
    expect(await waitForResult(peer.client, STUDY, "E1", KNOWN, never(), QUICK)).toEqual({ kind: "arrived", resultIds: ["R2"] });
    expect(asked).toBe(3);
  });

  it("does not believe a result without a mask as long as something runs", async () => {
    let status = "Finalizing";
    const peer = new Peer()
      .on("GET /data/experiments/E1/assessors", tableOf(RESULT))
      .on("GET /xapi/projects/BTS/containers", () => {
        const runs = [{ id: 1, status, inputs: [{ value: "/archive/experiments/E1" }] }];
        status = "Complete";
        return runs;
      });
    expect(await waitForResult(peer.client, STUDY, "E1", new Set(), never(), QUICK)).toMatchObject({ kind: "arrived" });
    expect(peer.calls.filter((call) => call.path.endsWith("/assessors"))).toHaveLength(2);
  });

  it("tells why a run failed", async () => {
    const peer = new Peer()
      .on("GET /data/experiments/E1/assessors", tableOf({ ...COLLECTION, ID: "C2" }))
      .on("GET /xapi/projects/BTS/containers", [{ id: 1, status: "Failed", inputs: [{ value: "/archive/experiments/C2" }], history: [{ message: "geometry differs" }] }]);
    expect(await waitForResult(peer.client, STUDY, "E1", KNOWN, never(), QUICK)).toEqual({ kind: "failed", reason: "geometry differs" });
  });

  it("gives up after a while", async () => {
    const peer = new Peer().on("GET /data/experiments/E1/assessors", tableOf());
    expect(await waitForResult(peer.client, STUDY, "E1", KNOWN, never(), QUICK)).toEqual({ kind: "late" });
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
    const waiting = poll(async () => null, { firstMs: 60_000, factor: 1, maxMs: 60_000, giveUpMs: 600_000 }, controller.signal);
    controller.abort();
    expect(await waiting).toBeNull();
  });

  it("lets an error through", async () => {
    await expect(poll(() => Promise.reject(new Error("gone")), QUICK, never())).rejects.toThrow("gone");
  });
});
