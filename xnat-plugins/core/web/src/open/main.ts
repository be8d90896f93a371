import { reviewUrl } from "../review/page-url";
import { waitForResult } from "../review/watch";
import { el } from "../ui/dom";
import { PATIENT, poll } from "../ui/poll";
import { t } from "../ui/i18n";
import { showMessage, startPage } from "../ui/shell";
import { XnatClient } from "../xnat/client";
import type { Run } from "../xnat/processing";
import { loadManifest } from "../xnat/studies";
import { forgetRequest, takeRequest } from "./memory";
import { keyProblem, type Refusal, resolve, type Resolution, type Request } from "./resolve";

type Found = Extract<Resolution, { kind: "found" }>;

const request = takeRequest();
const xnat = new XnatClient();
const signal = new AbortController().signal;

async function main(): Promise<void> {
  if (request.study === "") {
    showMessage(
      t("Which study?"),
      t(
        "The button's address names no study. It should be /overread/open?study=<id>&uid=<Study Instance UID>; ask the PACS administrator to mend it.",
      ),
    );
    return;
  }
  const problem = request.key === null ? null : keyProblem(request.key);
  if (problem !== null) {
    showMessage(t("Which exam?"), `${problem} ${t("Ask the PACS administrator to mend the button.")}`);
    return;
  }
  showMessage(t("Opening the exam"), t("Looking it up\u2026"));
  // `poll` asks again as long as the exam may still come; any other answer ends it.
  const found = await poll(async () => settle(await resolve(xnat, request)), PATIENT, signal);
  if (found === null) {
    showMessage(
      t("The exam did not come"),
      t(
        "It has not arrived within an hour. Check in the PACS that it was sent to the study's node, then use the button again.",
      ),
    );
  } else if (found !== "shown") {
    await openWhenProcessed(found);
  }
}

/** Show what was found out; `null` to look again, `"shown"` when the page is final. */
function settle(resolution: Resolution): Found | "shown" | null {
  switch (resolution.kind) {
    case "found":
      return resolution;
    case "arriving":
      showMessage(t("The exam is arriving"), resolution.status, waiting());
      return null;
    case "absent":
      showMessage(t("The exam is not here yet"), absentWords(resolution, request), waiting());
      return null;
    case "several":
      showMessage(
        t("Which of these exams?"),
        t("{count} exams have this number.", { count: resolution.exams.length }),
        examList(resolution),
      );
      return "shown";
    case "no-key":
      showMessage(
        t("Which exam?"),
        t("The button's address names no exam. It should end in &uid=<Study Instance UID> or &accession=<number>."),
      );
      return "shown";
    case "refused":
      showMessage(t("This address is not opened"), refusalWords(resolution.why));
      return "shown";
    case "unknown-study":
      showMessage(t("Unknown study"), unknownWords(resolution, request.study));
      return "shown";
  }
}

async function openWhenProcessed(found: Found): Promise<void> {
  const { study, exam } = found;
  const target = reviewUrl(study.project, exam.id);
  const manifest = await loadManifest(xnat, study.project);
  const skip = el("a", { href: target, class: "button" }, t("Open the images now"));
  let words = t("It has arrived; the model is at work.");
  const tell = (): void =>
    showMessage(
      t("The exam is being processed"),
      `${words} ${t("The review opens by itself when there is a result.")}`,
      waiting(),
      skip,
    );
  const slow = setTimeout(tell, 800);
  const onRun = (run: Run): void => {
    if (run.state !== "running") return;
    words =
      run.progressPct === null
        ? t("It has arrived; XNAT says: {status}.", { status: run.status })
        : t("It has arrived; the model is at work, {pct} % done.", { pct: run.progressPct });
    tell();
  };
  const outcome = await waitForResult(xnat, { manifest, examId: exam.id, known: new Set(), onRun }, signal);
  clearTimeout(slow);
  if (outcome.kind === "arrived") {
    forgetRequest();
    window.location.replace(target); // the button's address does not stay in the history
  } else if (outcome.kind === "failed") {
    showMessage(
      t("The model could not process this exam"),
      t("XNAT says: {why}. The images can be reviewed without a result; tell the study's coordinator.", {
        why: outcome.reason,
      }),
      skip,
    );
  } else {
    showMessage(
      t("No result yet"),
      t("The model has not finished with this exam. The images can be reviewed without a result."),
      skip,
    );
  }
}

function absentWords(resolution: Extract<Resolution, { kind: "absent" }>, asked: Request): string {
  const named = asked.key?.kind === "uid" ? t("this Study Instance UID") : t("this accession number");
  const others = resolution.others ?? 0;
  const arriving =
    others === 0
      ? ""
      : ` ${
          others === 1
            ? t("1 exam is arriving just now; it may be among them.")
            : t("{count} exams are arriving just now; it may be among them.", { count: others })
        }`;
  const absent = t("{study} has no exam with {named} that you may see.", { study: resolution.study.title, named });
  return `${absent}${arriving} ${t("If it was not sent yet, send it from the PACS to the study's node.")}`;
}

function refusalWords(why: Refusal): string {
  const words: Record<Refusal, string> = {
    unsigned: t(
      "It is not signed, and this study takes signed addresses only. Ask the PACS administrator to mend the button.",
    ),
    wrong: t("Its signature is wrong. Ask the PACS administrator to mend the button."),
    expired: t("It has expired. Use the button in the PACS again."),
  };
  return words[why];
}

function unknownWords(resolution: Extract<Resolution, { kind: "unknown-study" }>, study: string): string {
  const known = resolution.studies.map((each) => `${each.id} (${each.title})`).join(", ");
  const hint =
    known === "" ? t("No study is applied to this site yet.") : t("Studies of this site: {known}.", { known });
  return `${t('This site has no study "{study}".', { study })} ${hint} ${t("Ask the PACS administrator to mend the button.")}`;
}

function examList(resolution: Extract<Resolution, { kind: "several" }>): HTMLElement {
  const list = el("ul", { class: "choices" });
  for (const exam of resolution.exams) {
    list.append(
      el(
        "li",
        {},
        el(
          "a",
          { href: reviewUrl(resolution.study.project, exam.id) },
          exam.date || t("no date"),
          " \u00B7 ",
          exam.label,
        ),
      ),
    );
  }
  return list;
}

function waiting(): HTMLElement {
  return el("p", { class: "quiet waiting", role: "status" }, t("This page looks again by itself."));
}

startPage(main);
