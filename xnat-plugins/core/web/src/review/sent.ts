/** The case that was answered last, remembered in this tab so that the next page can lead back to it. */

import { el } from "../ui/dom";
import { t } from "../ui/i18n";
import { reviewUrl } from "./page-url";

const KEY = "overread.sent";

export interface Sent {
  readonly examId: string;
  readonly date: string;
}

export function rememberSent(sent: Sent, page: Window = window): void {
  page.sessionStorage.setItem(KEY, JSON.stringify(sent));
}

/** The last one, unless it is the case that is open. */
export function takeSent(openExamId: string, page: Window = window): Sent | null {
  try {
    const kept = JSON.parse(page.sessionStorage.getItem(KEY) ?? "null") as Partial<Sent> | null;
    if (typeof kept?.examId !== "string" || typeof kept.date !== "string" || kept.examId === openExamId) return null;
    return { examId: kept.examId, date: kept.date };
  } catch {
    return null;
  }
}

/** On the next case: that the answer to the one before was sent, with the way back to it. */
export function sentNote(project: string, examId: string): HTMLElement | null {
  const sent = takeSent(examId);
  if (sent === null) return null;
  return el(
    "p",
    { class: "sent", role: "status" },
    t("The answer to the exam of {date} was sent.", { date: sent.date }),
    " ",
    el("a", { href: reviewUrl(project, sent.examId) }, t("Change it")),
  );
}
