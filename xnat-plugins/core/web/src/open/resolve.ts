/** From the button's address to an exam: decided without a page. */

import { t } from "../ui/i18n";
import type { XnatClient } from "../xnat/client";
import { type ExamEntry, type ExamKey, findExams } from "../xnat/exams";
import { type Arriving, loadArriving } from "../xnat/processing";
import { loadStudies, type StudyPlace } from "../xnat/studies";

/** What the button asks for. */
export interface Request {
  readonly study: string;
  readonly key: ExamKey | null;
}

export type Resolution =
  | { readonly kind: "unknown-study"; readonly studies: readonly StudyPlace[] }
  | { readonly kind: "no-key" }
  | { readonly kind: "found"; readonly study: StudyPlace; readonly exam: ExamEntry }
  | { readonly kind: "several"; readonly study: StudyPlace; readonly exams: readonly ExamEntry[] }
  | { readonly kind: "arriving"; readonly study: StudyPlace; readonly status: string }
  /** `others` exams of the project are on their way; `null` if the reader may not see that. */
  | { readonly kind: "absent"; readonly study: StudyPlace; readonly others: number | null };

const UID = /^[0-9]+(\.[0-9]+)+$/;

/** Read `?study=…&uid=…` or `&accession=…`. */
export function readRequest(search: string): Request {
  const query = new URLSearchParams(search);
  const [uid, accession] = [query.get("uid")?.trim() ?? "", query.get("accession")?.trim() ?? ""];
  const key: ExamKey | null =
    uid !== "" ? { kind: "uid", value: uid } : accession !== "" ? { kind: "accession", value: accession } : null;
  return { study: query.get("study")?.trim() ?? "", key };
}

/** Why a key cannot name an exam; `null` if it can. XNAT's filters give `*`, `%` and `,` a meaning of their own. */
export function keyProblem(key: ExamKey): string | null {
  if (key.kind === "uid")
    return UID.test(key.value) && key.value.length <= 64 ? null : t("The address holds no valid Study Instance UID.");
  return /[*%,\\]/.test(key.value) || key.value.length > 64 ? t("The address holds no valid accession number.") : null;
}

export async function resolve(xnat: XnatClient, request: Request): Promise<Resolution> {
  const studies = await loadStudies(xnat);
  const study = studies.find((each) => each.id === request.study);
  if (study === undefined) return { kind: "unknown-study", studies };
  const key = request.key;
  if (key === null) return { kind: "no-key" };
  const exams = await findExams(xnat, study.project, key);
  const [only] = exams;
  if (only !== undefined)
    return exams.length === 1 ? { kind: "found", study, exam: only } : { kind: "several", study, exams };
  const arriving = await loadArriving(xnat, study.project);
  const here = key.kind === "uid" ? arriving?.find((each) => each.studyInstanceUid === key.value) : undefined;
  if (here !== undefined) return { kind: "arriving", study, status: statusWords(here) };
  return { kind: "absent", study, others: arriving?.length ?? null };
}

function statusWords(arriving: Arriving): string {
  const status = arriving.status.replace(/^_|^QUEUED_/, "");
  const words: Record<string, string> = {
    RECEIVING: t("Images are coming in."),
    BUILDING: t("All images are in; XNAT is sorting them."),
    READY: t("All images are in; XNAT is about to archive them."),
    ARCHIVING: t("XNAT is archiving the images."),
    CONFLICT: t(
      "XNAT cannot archive the images: they contradict an exam that is there. An administrator must decide in the prearchive.",
    ),
    ERROR: t("XNAT cannot archive the images. An administrator must look at them in the prearchive."),
  };
  return words[status] ?? t("XNAT says: {status}.", { status });
}
