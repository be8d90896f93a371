// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { ReportButton } from "../src/review/report";
import { readManifest } from "../src/xnat/studies";
import { Deliveries } from "../src/review/deliveries";
import { HOSTILE, Peer, tableOf } from "./peer";

const STUDY = readManifest({ id: "s", report_wrapper_name: "dicom-report-session" }, "BTS");
const LAUNCH = "POST /xapi/projects/BTS/wrappers/9/root/session/launch";
const AVAILABLE = [{ "wrapper-name": "dicom-report-session", "wrapper-id": 9, "root-element-name": "session" }];

const SENDING = readManifest(
  {
    id: "s",
    mode: "live",
    report_wrapper_name: "dicom-report-session",
    report: {
      send_to: [
        { ae_title: "PACS", storage_commitment: true },
        { ae_title: "VNA", storage_commitment: false },
      ],
    },
  },
  "BTS",
);
const FIELDS = "GET /xapi/custom-fields/projects/BTS/experiments/E1/fields";

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

  it("says of each report how far it is at each node, and asks nothing where none is sent", async () => {
    const node = (state: string, reason = ""): object => ({ state, reason });
    const peer = new Peer().on(FIELDS, {
      "answer:form:ada": {},
      "report:report-20250114123005-123456": { nodes: { PACS: node("committed"), VNA: node("sent") } },
      "report:report-20250113080000-1": { nodes: { PACS: node("sent", "away"), VNA: node("waiting", "no room") } },
      "report:other": {
        nodes: { PACS: node("refused", HOSTILE), VNA: node("held", "in mode assist"), X: node("odd") },
      },
    });
    const report = new ReportButton(peer.client, SENDING, "E1", 1);
    report.offer(true);
    report.offer(true);
    await vi.waitFor(() => expect(report.element.querySelectorAll("li").length).toBe(6));
    expect([...report.element.querySelectorAll("li")].map((item) => item.textContent)).toEqual([
      "Report of 2025-01-14 12:30: PACS has it and answers for it",
      "Report of 2025-01-14 12:30: VNA has it",
      "Report of 2025-01-13 08:00: PACS has it, and does not answer for it yet: away",
      "Report of 2025-01-13 08:00: waits for VNA: no room",
      `Report of other: PACS does not take it: ${HOSTILE}`,
      "Report of other: stays here: in mode assist",
    ]);
    expect(report.element.querySelector("img")).toBeNull();
    expect(peer.calls.length).toBe(1);
    const silent = new Peer();
    new ReportButton(silent.client, STUDY, "E1", 1).offer(true);
    expect(silent.calls).toEqual([]);
  });

  it("says that nothing is sent while the study is not live", async () => {
    const peer = new Peer().on(FIELDS, {});
    const report = new ReportButton(peer.client, { ...SENDING, mode: "assist" }, "E1", 1);
    report.offer(true);
    await vi.waitFor(() =>
      expect(report.element.textContent).toContain("sent to PACS, VNA only while the study is live"),
    );
  });

  it("follows a new report until nodes have it", async () => {
    const asked: object[] = [{}, {}, { "report:report-20250114123005-1": { nodes: { VNA: { state: "sent" } } } }];
    const peer = new Peer().on(FIELDS, () => (asked.length > 1 ? asked.shift()! : asked[0]!));
    const deliveries = new Deliveries(peer.client, SENDING, "E1", 1);
    await deliveries.follow();
    expect(deliveries.element.textContent).toContain("VNA has it");
    expect(peer.calls.length).toBe(3);
  });
});
