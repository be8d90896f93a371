/** Everything that the review page shows, loaded with as few requests as can be. */

import type { Point } from "../study/progression";
import { t } from "../ui/i18n";
import type { XnatClient } from "../xnat/client";
import { loadModeChanges, modeAt, type ModeChange } from "../xnat/modes";
import { type Exam, type ExamEntry, examsOfSubject, loadExam } from "../xnat/exams";
import { loadResults, newest, type Result, resultsOf } from "../xnat/results";
import { type Blind, loadManifest, type Manifest } from "../xnat/studies";

export interface ReviewData {
  readonly manifest: Manifest;
  /** Changes of the study's mode, oldest first. */
  readonly modes: readonly ModeChange[];
  readonly exam: Exam;
  /** The patient's exams in this project, oldest first. */
  readonly exams: readonly ExamEntry[];
  /** Results of all of them, oldest first. */
  readonly results: readonly Result[];
}

export async function loadReview(xnat: XnatClient, project: string, examId: string): Promise<ReviewData> {
  const [manifest, modes, exam] = await Promise.all([
    loadManifest(xnat, project),
    loadModeChanges(xnat, project),
    loadExam(xnat, examId),
  ]);
  const exams = await examsOfSubject(xnat, project, exam.subjectId);
  const known = exams.some((each) => each.id === exam.id) ? exams : [...exams, exam];
  const results = await loadResults(
    xnat,
    manifest,
    known.map((each) => each.id),
  );
  return { manifest, modes, exam, exams: known, results };
}

/** The same with the results of now. */
export async function reloadResults(xnat: XnatClient, data: ReviewData): Promise<ReviewData> {
  return {
    ...data,
    results: await loadResults(
      xnat,
      data.manifest,
      data.exams.map((each) => each.id),
    ),
  };
}

/** Values to follow over time: every result, with the date of its exam. */
export function pointsOf(data: ReviewData): Point[] {
  return data.exams.flatMap((exam) =>
    resultsOf(data.results, exam.id).map((result) => ({
      date: exam.date,
      examId: exam.id,
      resultId: result.id,
      origin: result.origin,
      reader: result.reader,
      model: `${result.modelName} ${result.modelVersion}`.trim(),
      volumeMl: result.volumeMl,
      lesions: result.lesions,
      reason: result.reason,
      storedAt: result.storedAt,
      mode: modeAt(result.storedAt, data.modes, data.manifest.mode),
    })),
  );
}

/** The AI's result of the exam on the page: the newest one. */
export function aiResult(data: ReviewData): Result | null {
  return newest(resultsOf(data.results, data.exam.id), "ai");
}

export interface Viewing {
  readonly examId: string;
  readonly login: string;
  /** The reader has answered: nothing is hidden any more. */
  readonly answered: boolean;
}

/** What a reader may see of the exam on the page before the answer; other exams are seen as they are. */
export function seenBy(results: readonly Result[], blind: Blind, viewing: Viewing): readonly Result[] {
  if (blind === "none" || viewing.answered) return results;
  return results.filter((result) => {
    if (result.examId !== viewing.examId) return true;
    if (result.origin === "edited") return result.reader === viewing.login;
    return blind !== "result";
  });
}

export function statusOf(ai: Result | null): string {
  if (ai === null) return t("no result yet");
  return ai.applicable ? t("measured") : t("not applicable: {why}", { why: ai.reason || t("no reason given") });
}
