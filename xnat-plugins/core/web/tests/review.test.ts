import { beforeEach, describe, expect, it } from "vitest";
import { showProgress } from "../src/progress/page";
import { tableText } from "../src/review/export";
import { header } from "../src/review/header";
import { masksOf } from "../src/review/masks";
import { plot } from "../src/review/plot";
import { dateScale, dayNumber, monthName, volumeScale } from "../src/review/scales";
import { table } from "../src/review/table";
import { readMessage, ViewerFrame, viewerUrl, xnatViewerUrl } from "../src/review/viewer";
import type { Point } from "../src/study/progression";
import { timeline } from "../src/study/progression";
import { el } from "../src/ui/dom";
import type { Exam } from "../src/xnat/exams";
import { modeAt, modeFact, readModeChanges } from "../src/xnat/modes";
import type { Result } from "../src/xnat/results";
import { readManifest } from "../src/xnat/studies";
import { HOSTILE } from "./peer";

const MANIFEST = readManifest({ id: "s", title: "Study", mode: "assist" }, "BTS");
const RULE = { baseline: "first", increasePct: 40, repeatability: null, chosen: null, model: null } as const;

function point(date: string, volumeMl: number | null, more: Partial<Point> = {}): Point {
  return {
    date,
    examId: `E${date}`,
    resultId: `R${date}${more.origin ?? ""}`,
    origin: "ai",
    reader: "",
    model: "m 1",
    volumeMl,
    lesions: null,
    reason: "",
    storedAt: date,
    mode: "assist",
    ...more,
  };
}

const POINTS = [
  point("2023-01-10", 10),
  point("2023-06-10", 12),
  point("2023-06-10", 11, { origin: "edited", reader: "reader1", storedAt: "2023-06-11" }),
  point("2024-01-10", 15),
];
const context = {
  currentExamId: "E2024-01-10",
  increasePct: 40,
  hrefOf: (id: string) => `/overread/review?project=BTS&experiment=${id}`,
  open: () => undefined,
};

beforeEach(() => document.body.replaceChildren());

describe("table", () => {
  it("has a row for each value, with origin in words and shape, and red where the threshold is reached", () => {
    document.body.append(table(timeline(POINTS, RULE), context));
    const rows = [...document.querySelectorAll("tbody tr")].map((row) =>
      [...row.children].map((cell) => cell.textContent?.trim()),
    );
    expect(rows).toEqual([
      ["2023-01-10", "AI", "10.00", "", "baseline"],
      ["2023-06-10", "AI (corrected)", "12.00", "+2.00", "+20.0 %"],
      ["2023-06-10", "Edited, reader1", "11.00", "+1.00", "+10.0 %"],
      ["2024-01-10", "AI", "15.00", "+5.00", "+50.0 % \u25B2"],
    ]);
    expect([...document.querySelectorAll("tr.crossed")].map((row) => row.getAttribute("data-result"))).toEqual([
      "R2024-01-10",
    ]);
    expect(document.querySelectorAll(".key.ai circle")).toHaveLength(3);
    expect(document.querySelectorAll(".key.edited path")).toHaveLength(1);
    expect(document.querySelector("tr.current a")?.getAttribute("aria-current")).toBe("page");
    expect(document.querySelector("caption")?.textContent).toContain("Change from 2023-01-10 (10.00 mL, AI)");
  });

  it("opens the exam of a row that is clicked, once", () => {
    const opened: string[] = [];
    document.body.append(table(timeline(POINTS, RULE), { ...context, open: (id) => opened.push(id) }));
    document.querySelector<HTMLElement>("tbody td")!.click();
    expect(opened).toEqual(["E2023-01-10"]);
    const link = document.querySelector<HTMLElement>("tbody a")!;
    link.addEventListener("click", (event) => event.preventDefault());
    link.click();
    expect(opened).toHaveLength(1);
  });

  it("has no percentage over a baseline where nothing was found", () => {
    document.body.append(
      table(timeline([point("2023-01-10", 0), point("2023-06-10", 0), point("2023-09-10", 0.4)], RULE), context),
    );
    expect([...document.querySelectorAll("tbody tr td:last-child")].map((cell) => cell.textContent)).toEqual([
      "baseline",
      "none",
      "new \u25B2",
    ]);
    expect(document.querySelector("caption")?.textContent).toContain("no percentage is defined");
    expect(document.body.textContent).not.toMatch(/NaN|Infinity/);
  });

  it("says why an exam has no value", () => {
    document.body.append(table(timeline([point("2023-01-10", null, { reason: "no FLAIR series" })], RULE), context));
    expect(document.querySelector("tbody")?.textContent).toContain("not measured: no FLAIR series");
  });
});

describe("plot", () => {
  it("has a link with a whole sentence for every value", () => {
    document.body.append(plot(timeline(POINTS, RULE), context));
    const marks = [...document.querySelectorAll("a.mark")];
    expect(marks).toHaveLength(4);
    expect(marks.map((mark) => mark.getAttribute("aria-label"))).toContain(
      "2024-01-10: 15.00 mL (AI), +5.00 mL, +50.0 % since 2023-01-10: at or above the threshold and beyond measurement noise",
    );
    expect(document.querySelectorAll("a.mark.crossed")).toHaveLength(1);
    expect(document.querySelectorAll("a.edited path.shape")).toHaveLength(1);
    expect(document.querySelector(".threshold-text")?.textContent).toBe("+40 % = 14.00 mL");
  });

  it("shows the words of a mark that has the focus, and hides them with Escape", () => {
    document.body.append(plot(timeline(POINTS, RULE), context));
    const [mark, tip] = [document.querySelector("a.mark")!, document.querySelector<HTMLElement>(".tip")!];
    expect(tip.hidden).toBe(true);
    mark.dispatchEvent(new Event("focus"));
    expect([tip.hidden, tip.textContent]).toEqual([false, mark.getAttribute("aria-label")]);
    mark.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    expect(tip.hidden).toBe(true);
  });

  it("draws no threshold over a baseline of zero, and nothing without values", () => {
    document.body.append(plot(timeline([point("2023-01-10", 0), point("2023-06-10", 1)], RULE), context));
    expect(document.querySelector(".threshold")).toBeNull();
    expect(document.body.innerHTML).not.toMatch(/NaN|Infinity/);
    expect(plot([], context).textContent).toBe("No measured exam yet.");
  });

  it("draws one exam, and exams of one day, without dividing by nothing", () => {
    document.body.append(plot(timeline([point("2023-01-10", 0)], RULE), context));
    document.body.append(
      plot(timeline([point("2023-01-10", 5), point("2023-01-10", 6, { examId: "other" })], RULE), context),
    );
    expect(document.body.innerHTML).not.toMatch(/NaN|Infinity/);
  });
});

describe("scales", () => {
  it.each([0, 0.9, 11, 28.8, 1000])("cover 0 to %d in a few round steps", (max) => {
    const scale = volumeScale(max, 0, 100);
    expect(scale.ticks[0]).toBe(0);
    expect(scale.ticks.at(-1)).toBeGreaterThanOrEqual(max);
    expect(scale.ticks.length).toBeLessThanOrEqual(6);
    expect(scale.at(scale.ticks.at(-1) ?? 0)).toBe(100);
  });

  it("keep dates in order and name months", () => {
    const scale = dateScale(["2023-01-10", "2024-08-01"], 0, 400);
    expect(scale.at(dayNumber("2023-01-10"))).toBeLessThan(scale.at(dayNumber("2024-08-01")));
    expect(scale.ticks.map(monthName)).toEqual(["2023-01", "2023-07", "2024-01", "2024-07"]);
  });
});

describe("header", () => {
  const exam: Exam = {
    id: "E1",
    label: "L",
    subjectId: "S",
    date: "2024-01-10",
    studyInstanceUid: "1.2",
    patientId: "P-1",
    patientName: HOSTILE,
    modality: "MR",
    series: [],
  };
  const ai = { modelName: "net", modelVersion: "1.0.0" } as Result;

  it("shows a hostile patient name as words", () => {
    document.body.append(header({ manifest: MANIFEST, modes: [], exam }, ai, HOSTILE));
    expect(document.querySelector("img, script")).toBeNull();
    expect(document.querySelector('[data-fact="patient"]')?.textContent).toBe(`${HOSTILE} \u00B7 P-1`);
    expect((globalThis as Record<string, unknown>)["hacked"]).toBeUndefined();
  });

  it("says what the study is not for, unless it is live", () => {
    expect(header({ manifest: MANIFEST, modes: [], exam }, ai, "").textContent).toContain(
      "Research use: not for clinical decisions",
    );
    expect(
      header({ manifest: { ...MANIFEST, mode: "live" }, modes: [], exam }, ai, "").querySelector(".banner"),
    ).toBeNull();
  });
});

describe("masks", () => {
  const result = (id: string, origin: "ai" | "edited", seg: string, images: string[] = []): Result =>
    ({
      id,
      origin,
      segSeriesUid: seg,
      imageSeriesUids: images,
      modelName: "net",
      modelVersion: "1",
      reader: "reader1",
      storedAt: "2024-01-10 10:00:00.0",
    }) as unknown as Result;

  it("are the newest edit first, then the AI's, then none; an edit shows the AI's images if it names none", () => {
    const masks = masksOf([
      result("a", "ai", "1.1", ["9.1"]),
      result("b", "edited", "1.2"),
      result("c", "edited", "1.3", ["9.2"]),
    ]);
    expect(masks.map((mask) => mask.segSeriesUid)).toEqual(["1.3", "1.2", "1.1", ""]);
    expect(masks.map((mask) => mask.imageSeriesUids)).toEqual([["9.2"], ["9.2"], ["9.1"], ["9.2"]]);
  });

  it("are none, on the images, where the AI found nothing", () => {
    expect(masksOf([result("a", "ai", "", ["9.1"])])).toEqual([
      { segSeriesUid: "", label: "No mask", imageSeriesUids: ["9.1"], comparison: null, difference: "" },
    ]);
  });
});

describe("viewer", () => {
  it("is addressed with the images first and the mask last", () => {
    const url = new URL(
      viewerUrl({
        project: "BTS",
        studyInstanceUid: "1.2",
        imageSeriesUids: ["1.2.1", "1.2.2"],
        segSeriesUid: "1.2.9",
      }),
      "http://x",
    );
    expect(url.pathname).toBe("/viewer/segmentation");
    expect(Object.fromEntries(url.searchParams)).toEqual({
      project: "BTS",
      StudyInstanceUIDs: "1.2",
      SeriesInstanceUIDs: "1.2.1,1.2.2,1.2.9",
      hangingProtocolId: "review",
    });
  });

  it("shows the whole study where no series is known", () => {
    expect(viewerUrl({ project: "BTS", studyInstanceUid: "1.2", imageSeriesUids: [], segSeriesUid: "" })).not.toContain(
      "SeriesInstanceUIDs",
    );
  });

  it("is XNAT's own where there is no OHIF 3", () => {
    expect(xnatViewerUrl({ project: "P", subjectId: "S", examId: "E", examLabel: "L" })).toBe(
      "/VIEWER?subjectId=S&projectId=P&experimentId=E&experimentLabel=L",
    );
  });

  it.each([[null], ["overread:saved"], [{ type: "other" }], [{}]])("does not hear %j", (data) => {
    expect(readMessage(data)).toBeNull();
  });

  it("is only heard from its own frame and site", () => {
    const heard: string[] = [];
    const frame = new ViewerFrame((message) => heard.push(message.type));
    document.body.append(frame.element);
    const own = frame.element.contentWindow;
    const event = (source: unknown, origin: string): MessageEvent => {
      const made = new MessageEvent("message", { data: { type: "overread:ready" }, origin });
      Object.defineProperty(made, "source", { value: source });
      return made;
    };
    window.dispatchEvent(event(own, "http://evil.test"));
    window.dispatchEvent(event(window, window.location.origin));
    window.dispatchEvent(event(null, window.location.origin));
    expect(heard).toEqual([]);
    window.dispatchEvent(event(own, window.location.origin));
    expect(heard).toEqual(["overread:ready"]);
  });
});

describe("el", () => {
  it.each([
    ["onclick", "x"],
    ["srcdoc", "x"],
    ["style", "x"],
    ["href", "javascript:alert(1)"],
    ["src", "http://evil.test/"],
  ])("refuses %s=%s", (name, value) => {
    expect(() => el("a", { [name]: value })).toThrow();
  });
});

describe("modes", () => {
  const changes = readModeChanges({
    changes: [
      { at: "2026-03-01T10:00:00.000+00:00", before: "shadow", after: "assist", by: "ada", reason: HOSTILE },
      { at: "2026-05-01T10:00:00.000+00:00", before: "assist", after: "live", by: "ada", reason: "it is good enough" },
    ],
  });

  it("are told by the time at which a result came", () => {
    expect(modeAt("2026-02-28 23:59:59.999", changes, "live")).toBe("shadow");
    expect(modeAt("2026-03-01 10:00:00.0", changes, "live")).toBe("assist");
    expect(modeAt("2026-06-01 00:00:00", changes, "live")).toBe("live");
    expect(modeAt("2026-02-28 23:59:59", [], "live")).toBe("live");
    expect(modeAt("", changes, "live")).toBe("live");
    expect(readModeChanges(null)).toEqual([]);
  });

  it("stand beside the results where they differ, in the header and in the file", () => {
    expect(modeFact("live", changes, "2026-02-01 00:00:00")).toBe("live; this result is from shadow");
    expect(modeFact("live", changes, null)).toBe("live");
    const points = [point("2023-01-10", 10, { mode: "shadow" }), point("2024-01-10", 15, { mode: "live" })];
    const rows = timeline(points, RULE);
    document.body.append(table(rows, context));
    expect([...document.querySelectorAll("tbody .mode")].map((each) => each.textContent)).toEqual(["shadow", "live"]);
    document.body.replaceChildren(table(timeline(POINTS, RULE), context));
    expect(document.querySelector(".mode")).toBeNull();
    const [heads, first] = tableText(rows, [], "csv").split("\r\n");
    expect(first!.split(",")[heads!.split(",").indexOf("mode")]).toBe("shadow");
  });

  it("and who changed them when and why are told on the coordinator's page", () => {
    const progress = { updatedAt: "", cases: 2, gate: null, readers: [], adjudication: null, troubles: ["E1: <b>"] };
    showProgress(document.body, { project: "P", progress, mode: "live", changes });
    const lines = [...document.querySelectorAll(".modes li")].map((each) => each.textContent);
    expect(lines[0]).toBe("2026-05-01 10:00: from assist to live, by ada: it is good enough");
    expect(lines[1]).toContain(HOSTILE);
    expect(document.querySelector(".troubles li")?.textContent).toBe("E1: <b>");
  });
});
