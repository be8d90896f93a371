import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { type Lesion, lesionLines, match } from "../src/study/lesions";
import {
  follow,
  followedModel,
  onePerExam,
  type Point,
  type ProgressionRule,
  timeline,
} from "../src/study/progression";
import { percent, sentence, signed } from "../src/study/words";

const RULE: ProgressionRule = { baseline: "first", increasePct: 40, repeatability: null, chosen: null, model: null };
const VECTORS = resolve(import.meta.dirname, "../../../../tests/vectors");

interface Case {
  readonly name: string;
  readonly rule: {
    readonly baseline: "first" | "lowest" | "previous";
    readonly increase_pct: number;
    readonly repeatability?: { readonly pct: number; readonly floor_ml: number };
  };
  readonly chosen?: string;
  readonly points: [string, string, number | null, "ai" | "edited", string][];
  readonly model: string;
  readonly expected: [string, string | null, string, number | null][];
}

/** Cases that the Python package must decide alike. */
const vectors = <T>(name: string): T[] => JSON.parse(readFileSync(resolve(VECTORS, `${name}.json`), "utf8")) as T[];

describe("the vectors shared with the Python package", () => {
  it.each(vectors<Case>("progression"))("$name", ({ rule, chosen, points, model, expected }) => {
    const values = points.map(([examId, date, volumeMl, origin, of], index) =>
      point(date, volumeMl, { examId, origin, model: of, storedAt: `${date} ${index}` }),
    );
    expect(followedModel(values)).toBe(model);
    const noise = rule.repeatability;
    const changes = follow(onePerExam(values, model), {
      baseline: rule.baseline,
      increasePct: rule.increase_pct,
      repeatability: noise === undefined ? null : { pct: noise.pct, floorMl: noise.floor_ml },
      chosen: chosen ?? null,
      model,
    });
    expect(changes.map((change) => [change.point.examId, change.baseline?.examId ?? null, change.verdict])).toEqual(
      expected.map(([exam, baseline, verdict]) => [exam, baseline, verdict]),
    );
    changes.forEach((change, index) => {
      const wanted = expected[index]![3];
      if (wanted === null) expect(change.changePct).toBeNull();
      else expect(change.changePct).toBeCloseTo(wanted, 9);
    });
  });

  it.each(
    vectors<{ name: string; exams: [number, number, number, number, string][][]; expected: number[][] }>("lesions"),
  )("$name", ({ exams, expected }) => {
    const lesions = exams.map((exam) =>
      exam.map(([volumeMl, x, y, z, trackingUid]): Lesion => ({ volumeMl, centreMm: [x, y, z], trackingUid })),
    );
    expect(match(lesions)).toEqual(expected);
  });
});

describe("lesions", () => {
  const lesion = (volumeMl: number, x: number): Lesion => ({ volumeMl, centreMm: [x, 0, 0], trackingUid: "" });

  it("have a line each, with nothing where one was not found", () => {
    const lines = lesionLines([
      point("2024-01-01", 12, { lesions: [lesion(10, 0), lesion(2, 60)] }),
      point("2024-02-01", 10, { lesions: [lesion(10, 1)] }),
      point("2024-03-01", null),
      point("2024-04-01", 17, { lesions: [lesion(4, 61), lesion(10, 1), lesion(3, -60)] }),
    ]);
    expect(lines.map((line) => line.map((each) => each.volumeMl))).toEqual([
      [10, 10, 10],
      [2, 0, 4],
      [0, 0, 3],
    ]);
  });

  it("have none where there is only one: the total says it", () => {
    expect(lesionLines([point("2024-01-01", 12, { lesions: [lesion(12, 0)] })])).toEqual([]);
    expect(lesionLines([point("2024-01-01", 12)])).toEqual([]);
  });
});

function point(date: string, volumeMl: number | null, more: Partial<Point> = {}): Point {
  const id = `${date}-${more.origin ?? "ai"}-${more.storedAt ?? ""}`;
  return {
    date,
    examId: `E${date}`,
    resultId: id,
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

describe("follow", () => {
  it("counts from the threshold on, not only above it", () => {
    const changes = follow([point("2024-01-01", 10), point("2024-02-01", 13.99), point("2024-03-01", 14)], RULE);
    expect(changes.map((change) => change.crossed)).toEqual([false, false, true]);
    expect(changes[2]?.changeMl).toBeCloseTo(4);
    expect(changes[2]?.changePct).toBe(40);
  });

  it("has neither change nor baseline for the first value", () => {
    expect(follow([point("2024-01-01", 10)], RULE)[0]).toMatchObject({
      baseline: null,
      changeMl: null,
      changePct: null,
      crossed: false,
    });
  });

  it("does not divide by a baseline of zero: something new counts, nothing does not", () => {
    const changes = follow([point("2024-01-01", 0), point("2024-02-01", 0), point("2024-03-01", 0.3)], RULE);
    expect(changes.map((change) => [change.changePct, change.crossed])).toEqual([
      [null, false],
      [null, false],
      [null, true],
    ]);
    expect(changes.map(percent)).toEqual(["baseline", "none", "new"]);
  });

  it("passes over exams without a value, also as a baseline", () => {
    const changes = follow(
      [point("2024-01-01", null, { reason: "no FLAIR" }), point("2024-02-01", 10), point("2024-03-01", 20)],
      RULE,
    );
    expect(changes[0]?.changeMl).toBeNull();
    expect(changes[1]?.baseline).toBeNull();
    expect(changes[2]?.baseline?.date).toBe("2024-02-01");
    expect(sentence(changes[0]!)).toBe("2024-01-01: not measured (no FLAIR)");
  });

  it.each([
    ["first", [null, 10, 10, 10]],
    ["previous", [null, 10, 4, 8]],
    ["lowest", [null, 10, 4, 4]],
  ] as const)("compares with the %s value", (baseline, expected) => {
    const values = [10, 4, 8, 16].map((value, index) => point(`2024-0${index + 1}-01`, value));
    expect(follow(values, { ...RULE, baseline }).map((change) => change.baseline?.volumeMl ?? null)).toEqual(expected);
  });

  it("does not depend on the order in which values come", () => {
    const values = [10, 4, 8, 16, 2].map((value, index) => point(`2024-0${index + 1}-01`, value));
    const expected = follow(values, RULE);
    for (let turn = 1; turn < values.length; turn += 1) {
      expect(follow([...values.slice(turn), ...values.slice(0, turn)], RULE)).toEqual(expected);
    }
  });
});

describe("timeline", () => {
  const ai = [point("2024-01-01", 10), point("2024-02-01", 20)];
  const edited = point("2024-01-01", 16, { origin: "edited", reader: "reader1", storedAt: "2024-01-05" });
  const older = point("2024-01-01", 15, { origin: "edited", reader: "reader1", storedAt: "2024-01-04" });

  it("follows a reader's value rather than the AI's, the latest of several", () => {
    expect(onePerExam([edited, ...ai, older], null)).toEqual([edited, ai[1]]);
  });

  it("follows a measured AI value rather than an edit that could not be measured", () => {
    expect(onePerExam([ai[0]!, { ...edited, volumeMl: null }], null)).toEqual([ai[0]]);
  });

  it("keeps the corrected AI value on the AI's own line", () => {
    const rows = timeline([...ai, older, edited], RULE);
    expect(rows.map((row) => [row.point.volumeMl, row.followed, row.baseline?.volumeMl ?? null, row.crossed])).toEqual([
      [10, false, null, false],
      [15, false, null, false],
      [16, true, null, false],
      [20, true, 16, false],
    ]);
  });

  it("lets an edit of the last exam change its own call only", () => {
    const smaller = point("2024-02-01", 12, { origin: "edited", storedAt: "2024-02-05" });
    const rows = timeline([...ai, smaller], RULE);
    expect(rows.map((row) => [row.point.volumeMl, row.followed, row.crossed])).toEqual([
      [10, true, false],
      [20, false, true],
      [12, true, false],
    ]);
  });

  it("loses no value", () => {
    const all = [...ai, older, edited];
    expect(new Set(timeline(all, RULE).map((row) => row.point))).toEqual(new Set(all));
  });
});

describe("words", () => {
  it("signs changes, but not nothing", () => {
    expect([signed(1.234, 2), signed(-1.234, 1), signed(0.001, 2), signed(-0.001, 2)]).toEqual([
      "+1.23",
      "\u22121.2",
      "0.00",
      "0.00",
    ]);
  });
});
