import { describe, expect, it } from "vitest";
import { NoRadiograph, painted, percentileWindow, readRadiograph } from "../src/read/dicom";
import { fitted, panned, zoomed } from "../src/read/view";
import { readMeasured } from "../src/read/measured";
import { remnantPct } from "../src/read/volumes";
import { newestMask } from "../src/read/segmentation";
import { STALE_MS, standing, type Claim } from "../src/xnat/claims";
import { readFindings } from "../src/xnat/images";
import { Row } from "../src/xnat/tables";
import { readWorklist } from "../src/xnat/worklist";
import { Stopwatch } from "../src/review/clock";
import { duration } from "../src/progress/page";
import { HOSTILE } from "./peer";

/** A DICOM file in Explicit VR Little Endian with these elements: `[tag, vr, value]`. */
function file(syntax: string, elements: readonly [number, string, number[] | string][]): Uint8Array {
  const bytes: number[] = [...new Array<number>(128).fill(0), ...new TextEncoder().encode("DICM")];
  const put = (tag: number, vr: string, value: number[] | string): void => {
    let body = typeof value === "string" ? [...new TextEncoder().encode(value)] : value;
    if (body.length % 2 === 1) body = [...body, vr === "UI" ? 0 : 32];
    bytes.push((tag >> 16) & 255, tag >>> 24, tag & 255, (tag >> 8) & 255, vr.charCodeAt(0), vr.charCodeAt(1));
    const long = ["OB", "OW"].includes(vr);
    if (long) bytes.push(0, 0);
    for (let at = 0; at < (long ? 4 : 2); at += 1) bytes.push((body.length >> (8 * at)) & 255);
    bytes.push(...body);
  };
  put(0x00020010, "UI", syntax);
  for (const [tag, vr, value] of elements) put(tag, vr, value);
  return new Uint8Array(bytes);
}

const us = (...values: number[]): number[] => values.flatMap((value) => [value & 255, (value >> 8) & 255]);

function radiograph(pixels: number[], changes: readonly [number, string, number[] | string][] = []): Uint8Array {
  const own = new Set(changes.map(([tag]) => tag));
  const plain: [number, string, number[] | string][] = [
    [0x00080018, "UI", "1.2.3"],
    [0x00280002, "US", us(1)],
    [0x00280004, "CS", "MONOCHROME2"],
    [0x00280010, "US", us(1)],
    [0x00280011, "US", us(pixels.length)],
    [0x00280100, "US", us(16)],
    [0x00280101, "US", us(12)],
    [0x00280103, "US", us(0)],
    [0x7fe00010, "OW", us(...pixels)],
  ];
  const all = [...plain.filter(([tag]) => !own.has(tag)), ...changes].sort((a, b) => a[0] - b[0]);
  return file("1.2.840.10008.1.2.1", all);
}

const grey = (image: ReturnType<typeof readRadiograph>, inverted = false): number[] => {
  const rgba = painted(image, image.window, inverted);
  return [...rgba].filter((_, at) => at % 4 === 0);
};

describe("a radiograph", () => {
  it("is read with its window, and bits above the stored ones are no part of a value", () => {
    const image = readRadiograph(
      radiograph(
        [0, 100, 200, 0xf000 + 200],
        [
          [0x00281050, "DS", "100"],
          [0x00281051, "DS", "201"],
        ],
      ),
    );
    expect([...image.pixels]).toEqual([0, 100, 200, 200]);
    expect(grey(image)).toEqual([0, 127, 255, 255].map((value) => expect.closeTo(value, -1) as unknown));
    expect(image.inverted).toBe(false);
  });

  it("in MONOCHROME1 is white where it is low, and inverting turns it back", () => {
    const image = readRadiograph(
      radiograph(
        [0, 200],
        [
          [0x00280004, "CS", "MONOCHROME1"],
          [0x00281050, "DS", "100"],
          [0x00281051, "DS", "201"],
        ],
      ),
    );
    const [low, high] = grey(image);
    expect(low).toBeGreaterThan(high!);
    expect(grey(image, true)[0]).toBeLessThan(128);
  });

  it("may have signed values, a rescale, and no window of its own", () => {
    const image = readRadiograph(
      radiograph(
        [0xfff & -5, 7],
        [
          [0x00280103, "US", us(1)],
          [0x00281052, "DS", "-10"],
          [0x00281053, "DS", "2"],
        ],
      ),
    );
    expect([...image.pixels]).toEqual([-20, 4]);
    expect(image.window).toEqual(percentileWindow(image.pixels));
  });

  it.each([
    ["compressed", file("1.2.840.10008.1.2.4.50", [[0x00080018, "UI", "1.2"]])],
    ["size", file("1.2.840.10008.1.2.1", [[0x00080018, "UI", "1.2"]])],
    ["colour", radiograph([1], [[0x00280002, "US", us(3)]])],
    ["fewer pixels", radiograph([1, 2], [[0x00280010, "US", us(9)]])],
    ["damaged", new Uint8Array([1, 2, 3])],
  ])("that is %s is refused in words", (words, bytes) => {
    expect(() => readRadiograph(bytes)).toThrow(NoRadiograph);
    expect(() => readRadiograph(bytes)).toThrow(words === "damaged" ? /damaged/ : new RegExp(words));
  });
});

describe("an image in its frame", () => {
  const [image, frame] = [
    { width: 200, height: 100 },
    { width: 100, height: 100 },
  ];
  it("is fitted, zooms about the point under the mouse, and never leaves the frame", () => {
    const whole = fitted(image, frame);
    expect(whole).toEqual({ scale: 0.5, x: 0, y: 25 });
    const at = { x: 30, y: 50 };
    const closer = zoomed(whole, 4, at, image, frame);
    const under = (place: typeof whole): number => (at.x - place.x) / place.scale;
    expect(under(closer)).toBeCloseTo(under(whole));
    expect(panned(closer, 1000, 0, image, frame).x).toBe(0);
    expect(panned(closer, -1000, 0, image, frame).x).toBe(100 - 200 * 2);
    expect(zoomed(whole, 0.01, at, image, frame)).toEqual(whole);
  });
});

describe("a claim", () => {
  const claim = (changes: Partial<Claim>): Claim => ({
    state: "open",
    tab: "a",
    openedAt: "2026-01-01T10:00:00Z",
    seenAt: "2026-01-01T10:00:00Z",
    ...changes,
  });
  const then = Date.parse("2026-01-01T10:00:00Z");

  it("holds while its page lives, for other pages only", () => {
    expect(standing(null, "a", then).kind).toBe("free");
    expect(standing(claim({}), "a", then).kind).toBe("mine");
    expect(standing(claim({}), "b", then + STALE_MS).kind).toBe("elsewhere");
    expect(standing(claim({}), "b", then + STALE_MS + 1).kind).toBe("free");
    expect(standing(claim({ state: "submitted" }), "a", then + 10 * STALE_MS).kind).toBe("submitted");
    expect(standing(claim({ seenAt: "nonsense" }), "b", then).kind).toBe("free");
  });
});

describe("a worklist", () => {
  it("names the sessions that are there, and survives nonsense", () => {
    const sessions = [new Row({ label: "C1", ID: "X_1", xsiType: "xnat:dxSessionData", UID: "1.2" })];
    const json = {
      title: HOSTILE,
      role: "emperor",
      readings: [{ session: "C1", arm: "aided", period: 2 }, { code: "C2" }, 7],
      total: 9,
      show: { segments: [{ number: 1, label: "left", color: "#123456" }], remnant: { of: [1, "x"], keep: [1] } },
    };
    const list = readWorklist(json, "P", sessions);
    expect(list.role).toBe("reader");
    expect(list.readings.map((each) => [each.code, each.examId])).toEqual([
      ["C1", "X_1"],
      ["C2", ""],
      ["", ""],
    ]);
    expect(list.shown.remnant).toEqual({ of: [1], keep: [1] });
  });
});

describe("what comes with a copy", () => {
  it("is read as findings with boxes, or without", () => {
    const box = { sop_instance_uid: "1.2", x: 1, y: 2, width: 3, height: 4 };
    const found = readFindings({
      findings: [{ side: "left", class: "fracture", confidence: 0.9, box }, { class: "x", box: { x: 1 } }, 3],
    });
    expect(found.map((each) => each.box?.sopInstanceUid ?? null)).toEqual(["1.2", null]);
    expect(readFindings(null)).toEqual([]);
    const [corners] = readFindings({ findings: [{ side: "left", sop_instance_uid: "1.3", box: [10, 20, 40, 60] }] });
    expect(corners?.box).toEqual({ sopInstanceUid: "1.3", x: 10, y: 20, width: 30, height: 40 });
    expect(readFindings({ findings: [{ box: [40, 20, 10, 60] }] })[0]?.box).toBeNull();
  });

  it("is measured by the viewer: volumes, remnant, edits", () => {
    const measured = readMeasured({
      segments: [
        { number: 1, ml: 600 },
        { number: 2, ml: 900 },
        { number: 3, ml: 50 },
      ],
      edits: { strokes: 2, segments: [{ number: 1, added_voxels: 5, slices: 1 }] },
    });
    expect(remnantPct(measured.segments, { of: [1, 2], keep: [1] })).toBeCloseTo(40);
    expect(remnantPct([], { of: [1, 2], keep: [1] })).toBeNull();
    expect(measured.edits.segments[0]).toMatchObject({ added_voxels: 5, removed_voxels: 0, slices: 1 });
    expect(readMeasured({ segments: "x", edits: 1 }).segments).toEqual([]);
  });

  it("is opened in the reader's own version, if there is one", () => {
    const series = (uid: string, modality: string, number: number, time = ""): Parameters<typeof newestMask>[0][0] => ({
      uid,
      modality,
      number,
      time,
    });
    const all = [series("own", "SEG", 3000, "2"), series("given", "SEG", 2), series("older", "SEG", 3000, "1")];
    expect(newestMask([...all, series("ct", "CT", 9000)])?.uid).toBe("own");
    expect(newestMask([series("ct", "CT", 1)])).toBeUndefined();
  });
});

describe("time", () => {
  it("counts as active up to the study's idle limit", () => {
    const watch = new Stopwatch(5);
    for (const second of [0, 3, 60, 61]) watch.tick(second * 1000);
    expect(watch.seconds).toBe(9);
    expect([duration(45), duration(200), duration(7500)]).toEqual(["45 s", "3 min 20 s", "2 h 5 min"]);
  });
});
