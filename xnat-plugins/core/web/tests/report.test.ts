// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { ReportButton } from "../src/review/report";
import { readManifest } from "../src/xnat/studies";
import { Peer, tableOf } from "./peer";

const STUDY = readManifest({ id: "s", report_wrapper_name: "dicom-report-session" }, "BTS");
const LAUNCH = "POST /xapi/projects/BTS/wrappers/9/root/session/launch";
const AVAILABLE = [{ "wrapper-name": "dicom-report-session", "wrapper-id": 9, "root-element-name": "session" }];

/** A server on which a report was made before; the next run passes through `statuses`. */
function server(statuses: string[], launch: object = { status: "success" }): Peer {
  let launched = false;
  const run = (workflow_id: string, status: string) => ({
    workflow_id,
    id: "E1",
    pipeline_name: "dicom-report-session",
    status,
  });
  const before = run("3", "Complete");
  return new Peer()
    .on("GET /xapi/projects/BTS/commands/available", AVAILABLE)
    .on("GET /xapi/projects/BTS/containers", [])
    .on(LAUNCH, () => ((launched = true), launch))
    .on("GET /data/services/workflows", () =>
      launched ? tableOf(before, run("4", statuses.shift() ?? "Complete")) : tableOf(before),
    );
}

function press(peer: Peer): HTMLElement {
  const report = new ReportButton(peer.client, STUDY, "E1", 1);
  report.offer(true);
  report.element.querySelector("button")?.click();
  return report.element;
}

describe("ReportButton", () => {
  it("starts the report on the exam and says when it is stored, not when an earlier one was", async () => {
    const peer = server(["Running", "Running", "Complete"]);
    const element = press(peer);
    await vi.waitFor(() => expect(element.textContent).toContain("stored as a new scan"));
    const launches = peer.calls.filter((call) => call.path.endsWith("/launch"));
    expect(launches.map((call) => call.body)).toEqual([{ session: "/archive/experiments/E1" }]);
    expect(peer.calls.filter((call) => call.path.endsWith("/workflows")).length).toBe(4);
    expect(element.querySelector("button")?.disabled).toBe(false);
  });

  it("says why it failed", async () => {
    const failed = press(server(["Running", "Failed (no mask)"]));
    await vi.waitFor(() => expect(failed.textContent).toContain("failed: Failed (no mask)"));
    const refused = press(server([], { status: "failure", message: "not today" }));
    await vi.waitFor(() => expect(refused.textContent).toContain("not today"));
  });

  it("is offered where the study has a report and the exam a mask", () => {
    const peer = new Peer();
    const shown = (manifest: typeof STUDY, measured: boolean): boolean => {
      const report = new ReportButton(peer.client, manifest, "E1", 1);
      report.offer(measured);
      return !report.element.hidden;
    };
    expect(shown(STUDY, true)).toBe(true);
    expect(shown(STUDY, false)).toBe(false);
    expect(shown({ ...STUDY, reportWrapperName: "" }, true)).toBe(false);
  });
});
