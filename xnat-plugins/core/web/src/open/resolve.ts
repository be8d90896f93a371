/** From the button's address to an exam: decided without a page. */

import { t } from "../ui/i18n";
import { path, type XnatClient, XnatError } from "../xnat/client";
import { type ExamEntry, type ExamKey, findExams } from "../xnat/exams";
import { type Arriving, loadArriving } from "../xnat/processing";
import { loadStudies, type StudyPlace } from "../xnat/studies";

/** What the button asks for. */
export interface Request {
  readonly study: string;
  readonly key: ExamKey | null;
  /** Until when a signed address is good, in seconds since 1970, and its signature; empty where it is not signed. */
  readonly expires: string;
  readonly signature: string;
}

/** Why the server does not take an address. */
export type Refusal = "unsigned" | "wrong" | "expired";

export type Resolution =
  | { readonly kind: "unknown-study"; readonly studies: readonly StudyPlace[] }
  | { readonly kind: "no-key" }
  | { readonly kind: "refused"; readonly why: Refusal }
  | { readonly kind: "found"; readonly study: StudyPlace; readonly exam: ExamEntry }
  | { readonly kind: "several"; readonly study: StudyPlace; readonly exams: readonly ExamEntry[] }
  | { readonly kind: "arriving"; readonly study: StudyPlace; readonly status: string }
  /** `others` exams of the project are on their way; `null` if the reader may not see that. */
  | { readonly kind: "absent"; readonly study: StudyPlace; readonly others: number | null };

const UID = /^[0-9]+(\.[0-9]+)+$/;

/** Read `?study=…&uid=…` or `&accession=…`, and `&expires=…&signature=…`. */
export function readRequest(search: string): Request {
  const query = new URLSearchParams(search);
  const [uid, accession] = [query.get("uid")?.trim() ?? "", query.get("accession")?.trim() ?? ""];
  const key: ExamKey | null =
    uid !== "" ? { kind: "uid", value: uid } : accession !== "" ? { kind: "accession", value: accession } : null;
  const text = (name: string): string => query.get(name)?.trim() ?? "";
  return { study: text("study"), key, expires: text("expires"), signature: text("signature") };
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
  const why = await refusal(xnat, study.project, request, key);
  if (why !== null) return { kind: "refused", why };
  const exams = await findExams(xnat, study.project, key);
  const [only] = exams;
  if (only !== undefined)
    return exams.length === 1 ? { kind: "found", study, exam: only } : { kind: "several", study, exams };
  const arriving = await loadArriving(xnat, study.project);
  const here = key.kind === "uid" ? arriving?.find((each) => each.studyInstanceUid === key.value) : undefined;
  if (here !== undefined) return { kind: "arriving", study, status: statusWords(here) };
  return { kind: "absent", study, others: arriving?.length ?? null };
}

/** Requests that the server took: a page that waits for its exam asks once. */
const taken = new WeakSet<Request>();

/** Ask the server whether it takes this address; `null` if it does, or has nothing that checks signatures. */
async function refusal(xnat: XnatClient, project: string, request: Request, key: ExamKey): Promise<Refusal | null> {
  if (taken.has(request)) return null;
  const { study, expires, signature } = request;
  const where = path("xapi", "overread", "projects", project, "button", "check");
  let text: string;
  try {
    text = await xnat.change("POST", where, { json: { study, [key.kind]: key.value, expires, signature } });
  } catch (error) {
    // Who may not see the project finds no exam there; an XNAT whose plugin has no classes checks nothing.
    if (error instanceof XnatError && [403, 404, 405].includes(error.status)) return null;
    throw error;
  }
  const said = JSON.parse(text) as { readonly accepted: boolean; readonly why: Refusal };
  if (!said.accepted) return said.why;
  taken.add(request);
  return null;
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
