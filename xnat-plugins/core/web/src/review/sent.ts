/** The case that was answered last, remembered in this tab so that the next page can lead back to it. */

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
