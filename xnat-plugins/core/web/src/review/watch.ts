/** Waiting for a result that is not there yet: the AI's, or the measurement of a mask that was just saved. */

import { type PollTimes, poll } from "../ui/poll";
import type { XnatClient } from "../xnat/client";
import { latestRun, type Run } from "../xnat/processing";
import { COLLECTION_TYPE, loadAssessors } from "../xnat/results";
import type { Manifest } from "../xnat/studies";

export type Outcome =
  | { readonly kind: "arrived"; readonly resultIds: readonly string[] }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "late" };

/** What is waited for. */
export interface Expected {
  readonly manifest: Pick<Manifest, "project" | "resultType" | "wrapperName" | "recomputeWrapperName">;
  readonly examId: string;
  /** Assessors that were there before. */
  readonly known: ReadonlySet<string>;
  /** Called with what is at work, now and then. */
  readonly onRun?: (run: Run) => void;
}

/** Runs are looked at less often than results. */
const RUNS_EVERY = 2;

export const MEASURING: PollTimes = { firstMs: 500, factor: 1.15, maxMs: 6000, giveUpMs: 15 * 60 * 1000 };

/**
 * Wait until the exam has a result that is not among those known.
 *
 * A result without any mask beside it is only believed once nothing runs any more: the mask is stored after the result.
 * A run that failed is told, too.
 */
export async function waitForResult(
  xnat: XnatClient,
  expected: Expected,
  signal: AbortSignal,
  times: PollTimes = MEASURING,
): Promise<Outcome> {
  const { manifest, examId, known } = expected;
  let asked = 0;
  const ask = async (): Promise<Outcome | null> => {
    asked += 1;
    const assessors = await loadAssessors(xnat, examId);
    const results = assessors.filter((each) => each.type === manifest.resultType && !known.has(each.id));
    const collections = assessors.filter((each) => each.type === COLLECTION_TYPE);
    const arrived: Outcome = { kind: "arrived", resultIds: results.map((result) => result.id) };
    if (results.length > 0 && collections.length > 0) return arrived;
    if (results.length === 0 && asked % RUNS_EVERY !== 0) return null;
    const fresh = collections.find((collection) => !known.has(collection.id));
    const run = await latestRun(xnat, {
      project: manifest.project,
      objectId: fresh?.id ?? examId,
      wrapperName: fresh === undefined ? manifest.wrapperName : manifest.recomputeWrapperName,
    });
    if (run !== null) expected.onRun?.(run);
    if (results.length > 0) return run?.state === "running" ? null : arrived;
    return run?.state === "failed" ? { kind: "failed", reason: (run.reason || run.status).replace(/\.$/, "") } : null;
  };
  return (await poll(ask, times, signal)) ?? { kind: "late" };
}
