import "../styles/review.css";
import "../styles/read.css";
import { app, el } from "../ui/dom";
import { t } from "../ui/i18n";
import { asked, showMessage, startPage } from "../ui/shell";
import { loadLogin } from "../xnat/answers";
import { holdTab, loadClaim, standing, tabName } from "../xnat/claims";
import { XnatClient } from "../xnat/client";
import { loadWorklist, type Reading, type Worklist } from "../xnat/worklist";
import { FindingsSheet } from "./findings";
import { type Case, ReadPage, type Sheet } from "./page";
import { readUrl, worklistUrl } from "./page-url";
import { SegmentationSheet } from "./segmentation";

const xnat = new XnatClient();

async function main(): Promise<void> {
  const [project, code] = [asked("project"), asked("session")];
  if (project === "" || code === "") {
    showMessage(t("Which case?"), t("Open a case from the worklist: its address names a project and a case."));
    return;
  }
  const [worklist, login] = await Promise.all([loadWorklist(xnat, project), loadLogin(xnat)]);
  document.title = `${code} - ${worklist.title} - Overread`;
  const reading = worklist.readings.find((each) => each.code === code);
  if (reading === undefined || reading.examId === "") {
    showMessage(
      t("No such case"),
      t("Your worklist has no case {code}, or its images are not here yet.", { code }),
      back(worklist),
    );
    return;
  }
  await open({ worklist, reading, login, tab: tabName() }, new URLSearchParams(window.location.search).has("onward"));
}

async function open(shown: Case, onward: boolean): Promise<void> {
  const { worklist, reading, tab } = shown;
  const name = `overread:${worklist.project}:${reading.code}`;
  const [alone, claim] = await Promise.all([holdTab(name), loadClaim(xnat, worklist.project, reading.examId)]);
  const now = standing(claim, alone ? tab : "", Date.now());
  if (now.kind === "submitted" && onward) {
    const next = nextAfter(worklist, reading);
    window.location.replace(
      next === undefined ? worklistUrl(worklist.project) : readUrl(worklist.project, next.code, true),
    );
    return;
  }
  if (now.kind === "elsewhere" || (!alone && now.kind !== "submitted")) {
    const since = now.kind === "elsewhere" ? now.claim.openedAt.slice(11, 16) : "";
    const take = el("button", { type: "button", id: "take-over" }, t("Go on here instead"));
    take.addEventListener("click", () => {
      void holdTab(name, true).then(() => run(shown));
    });
    showMessage(
      t("This case is open elsewhere"),
      since === ""
        ? t("It is open in another window of this browser. A case is read once: go on there, or take it over.")
        : t("It has been open in another window since {time} UTC. A case is read once: go on there, or take it over.", {
            time: since,
          }),
      el("p", { class: "actions" }, take, " ", back(worklist)),
    );
    return;
  }
  await run(shown);
}

async function run(shown: Case): Promise<void> {
  await new ReadPage(app(), xnat, shown, (clock): Sheet => {
    const { worklist, reading } = shown;
    return worklist.page === "segmentation"
      ? new SegmentationSheet(xnat, worklist, reading, clock)
      : new FindingsSheet(xnat, reading.examId, reading.arm === "aided");
  }).start();
}

function nextAfter(worklist: Worklist, reading: Reading): Reading | undefined {
  const here = worklist.readings.indexOf(reading);
  return worklist.readings.slice(here + 1).find((each) => each.submittedAt === "" && each.examId !== "");
}

function back(worklist: Worklist): HTMLElement {
  return el("a", { href: worklistUrl(worklist.project), class: "button" }, t("Back to the worklist"));
}

startPage(main);
