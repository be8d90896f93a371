import { describe, expect, it } from "vitest";
import { examsOfSubject, loadExam, readableName } from "../src/xnat/exams";
import { loadForm } from "../src/xnat/forms";
import { latestRun, loadArriving, stateOf } from "../src/xnat/processing";
import { loadResults, newest } from "../src/xnat/results";
import { loadManifest, type Manifest, readManifest } from "../src/xnat/studies";
import { firstItem, Row, tableRows } from "../src/xnat/tables";
import { Peer, tableOf } from "./peer";

const MANIFEST: Manifest = readManifest({ id: "s", result_type: "braintumor:resultData", form_uuid: "f1" }, "BTS");

describe("tables and items", () => {
  it("compares keys without regard to case", () => {
    expect(
      new Row({ "braintumor:resultdata/Lesion_Volume_ML": "1.5" }).number("braintumor:resultData/lesion_volume_ml"),
    ).toBe(1.5);
  });

  it.each([["NaN"], [""], ["Infinity"], ["abc"]])("gives no number for %j", (text) => {
    expect(new Row({ v: text }).number("v")).toBeNull();
  });

  it.each([[null], [{}], [{ ResultSet: 1 }], [{ ResultSet: { Result: "x" } }], ["x"]])(
    "reads %j as no rows and no item",
    (answer) => {
      expect(tableRows(answer)).toEqual([]);
      expect(firstItem(answer)).toBeNull();
    },
  );
});

describe("manifest", () => {
  it("has defaults for what is missing or wrong", () => {
    expect(MANIFEST).toMatchObject({
      mode: "shadow",
      baseline: "first",
      increasePct: 40,
      measure: "lesion_volume_ml",
      editable: false,
    });
    const odd = readManifest(
      { mode: "party", progression: { increase_pct: -5, baseline: "x" }, edit: { collections: ["SEG"] } },
      "BTS",
    );
    expect(odd).toMatchObject({ mode: "shadow", baseline: "first", increasePct: 40, editable: true });
  });

  it("says how to get one where a project has none", async () => {
    const peer = new Peer().on(
      "GET /data/projects/BTS/config/overread/study",
      () => new Response(null, { status: 204 }),
    );
    await expect(loadManifest(peer.client, "BTS")).rejects.toThrow("overread study apply");
  });
});

describe("exams", () => {
  it("reads patient, exam and series from the item", async () => {
    const scan = { meta: {}, data_fields: { UID: "1.2.3", series_description: "FLAIR" }, children: [] };
    const item = {
      data_fields: {
        id: "XNAT_E1",
        label: "L",
        subject_ID: "S1",
        date: "2024-01-02",
        UID: "1.2",
        dcmPatientId: "P",
        dcmPatientName: "A^B",
        modality: "MR",
      },
      children: [{ field: "scans/scan", items: [scan] }],
    };
    const peer = new Peer().on("GET /data/experiments/XNAT_E1", { items: [item] });
    expect(await loadExam(peer.client, "XNAT_E1")).toMatchObject({
      id: "XNAT_E1",
      patientName: "A, B",
      patientId: "P",
      series: [{ uid: "1.2.3", description: "FLAIR" }],
    });
  });

  it("lists a patient's image sessions in order of date, and nothing else", async () => {
    const rows = tableOf(
      { ID: "b", UID: "1.2", date: "2024-02-01" },
      { ID: "x", UID: "", date: "2023-01-01" },
      { ID: "a", UID: "1.1", date: "2024-01-01" },
    );
    const peer = new Peer().on("GET /data/projects/BTS/subjects/S1/experiments", rows);
    expect((await examsOfSubject(peer.client, "BTS", "S1")).map((exam) => exam.id)).toEqual(["a", "b"]);
  });

  it.each([
    ["Muster^Erika", "Muster, Erika"],
    ["Muster^Erika^Maria^Dr", "Muster, Erika Maria Dr"],
    ["Yamada^Tarou=山田^太郎", "Yamada, Tarou"],
    ["MUSTER", "MUSTER"],
    ["", ""],
  ])("writes the name %j as %j", (name, expected) => {
    expect(readableName(name)).toBe(expected);
  });
});

describe("results", () => {
  const row = (id: string, more: Record<string, string>): Record<string, string> => ({
    ID: id,
    session_id: "E1",
    insert_date: "2024-01-01 10:00:00.0",
    ...more,
  });

  it("are asked for with one request for all exams, and read whatever the case of the columns", async () => {
    const peer = new Peer().on(
      "GET /data/experiments",
      tableOf(
        row("R2", {
          "braintumor:resultdata/origin": "edited",
          "braintumor:resultdata/lesion_volume_ml": "11.5",
          insert_date: "2024-01-02 10:00:00.0",
        }),
        row("R1", {
          "braintumor:resultData/origin": "ai",
          "braintumor:resultData/lesion_volume_ml": "10",
          "braintumor:resultData/series_instance_uids": "1.1  1.2",
        }),
        row("other", { session_id: "E9" }),
      ),
    );
    const results = await loadResults(peer.client, MANIFEST, ["E1", "E2"]);
    expect(results.map((result) => [result.id, result.origin, result.volumeMl])).toEqual([
      ["R1", "ai", 10],
      ["R2", "edited", 11.5],
    ]);
    expect(results[0]?.imageSeriesUids).toEqual(["1.1", "1.2"]);
    expect(newest(results, "edited")?.id).toBe("R2");
    expect(peer.calls).toHaveLength(1);
    expect(peer.calls[0]?.query.get("session_ID")).toBe("E1,E2");
    expect(peer.calls[0]?.query.get("columns")).toContain("braintumor:resultData/lesion_volume_ml");
  });

  it("have no volume when they are not applicable", async () => {
    const peer = new Peer().on(
      "GET /data/experiments",
      tableOf(
        row("R", {
          "braintumor:resultData/status": "not-applicable",
          "braintumor:resultData/reason": "no FLAIR",
          "braintumor:resultData/lesion_volume_ml": "0",
        }),
      ),
    );
    expect((await loadResults(peer.client, MANIFEST, ["E1"]))[0]).toMatchObject({
      applicable: false,
      reason: "no FLAIR",
      volumeMl: null,
    });
  });

  it("are not asked for without exams", async () => {
    const peer = new Peer();
    expect(await loadResults(peer.client, MANIFEST, [])).toEqual([]);
    expect(peer.calls).toEqual([]);
  });
});

describe("what is on its way", () => {
  it("is unknown where the prearchive is hidden", async () => {
    expect(await loadArriving(new Peer().client, "BTS")).toBeNull();
  });

  const key = { project: "BTS", objectId: "E1", wrapperName: "segment" };
  const workflow = (
    workflow_id: string,
    status: string,
    more: Record<string, string> = {},
  ): Record<string, string> => ({ workflow_id, id: "E1", pipeline_name: "segment", status, ...more });

  it("is the newest workflow of the wrapper on the object", async () => {
    const rows = tableOf(
      workflow("3", "Running", { percentageComplete: "40" }),
      workflow("12", "Complete", { percentageComplete: "100" }),
      workflow("99", "Failed", { pipeline_name: "other" }),
      workflow("98", "Failed", { id: "E2" }),
    );
    const peer = new Peer().on("GET /data/services/workflows", rows);
    expect(await latestRun(peer.client, key)).toEqual({
      id: "12",
      state: "complete",
      status: "Complete",
      reason: "",
      progressPct: 100,
    });
    expect(peer.calls).toHaveLength(1);
  });

  it("says why a run failed, in the words of its container", async () => {
    const peer = new Peer()
      .on("GET /data/services/workflows", tableOf(workflow("5", "Failed (Rejected)")))
      .on("GET /xapi/projects/BTS/containers", [
        { id: 1, "workflow-id": "4", reason: "old" },
        { id: 2, "workflow-id": "5", status: "Failed", history: [{ message: "" }, { message: "no weights" }] },
      ]);
    expect(await latestRun(peer.client, key)).toMatchObject({ state: "failed", reason: "no weights" });
  });

  it("is looked for among containers where there are no workflows", async () => {
    const container = (id: number, value: string, status: string): object => ({
      id,
      status,
      inputs: [{ name: "session", value }],
    });
    const peer = new Peer().on("GET /xapi/projects/BTS/containers", [
      container(1, "/archive/experiments/E1", "Complete"),
      container(3, "/archive/experiments/E1", "Running"),
      container(4, "/archive/experiments/E11", "Failed"),
    ]);
    expect(await latestRun(peer.client, key)).toMatchObject({ state: "running", status: "Running" });
    expect(await latestRun(peer.client, { ...key, objectId: "E2" })).toBeNull();
  });

  it.each([
    ["Complete", "complete"],
    ["Failed (Upload)", "failed"],
    ["Killed", "failed"],
    ["Finalizing", "running"],
    ["_Queued", "running"],
    ["die", "running"],
  ])("takes %s for %s", (status, state) => {
    expect(stateOf(status)).toBe(state);
  });
});

describe("form of a study", () => {
  const question = { type: "textfield", key: "a", label: "A" };

  it("comes from the merged form, by its own part", async () => {
    const merged = {
      title: "merged",
      components: [
        { type: "textfield", key: "other", label: "x" },
        { type: "container", key: "f1", label: "Feedback", components: [question] },
      ],
    };
    const peer = new Peer().on("GET /xapi/customforms/element", merged);
    const form = await loadForm(peer.client, MANIFEST, "R1");
    expect(form?.title).toBe("Feedback");
    expect(form?.questions.map((each) => each.key)).toEqual(["a"]);
    expect(peer.calls[0]?.query.get("xsiType")).toBe("braintumor:resultData");
  });

  it("else from the list of forms", async () => {
    const peer = new Peer().on("GET /xapi/customforms", [
      { formUUID: "f0", contents: "{}" },
      { formUUID: "f1", contents: JSON.stringify({ title: "T", components: [question] }) },
    ]);
    expect((await loadForm(peer.client, MANIFEST, ""))?.title).toBe("T");
  });

  it("is none where there is none, or its text is broken", async () => {
    expect(await loadForm(new Peer().client, MANIFEST, "")).toBeNull();
    const broken = new Peer().on("GET /xapi/customforms", [{ formUUID: "f1", contents: "{" }]);
    expect(await loadForm(broken.client, MANIFEST, "")).toBeNull();
  });
});
