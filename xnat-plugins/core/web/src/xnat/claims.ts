/**
 * Who has a reading open: a claim in the session's custom fields, so that no case is read twice by mistake.
 *
 * XNAT has no conditional write, so a claim does not lock; it tells. What must not go wrong is checked again before an
 * answer is sent. Tabs of one browser exclude each other by the browser's own locks.
 */

import { XnatClient, path } from "./client";
import { isObject, Row } from "./tables";

/** A claim that was not renewed for so long is that of a closed page. */
export const STALE_MS = 90_000;
export const RENEW_MS = 30_000;
const KEY = "reading";

export interface Claim {
  readonly state: "open" | "submitted";
  /** Names the page that holds it; a reload keeps the name. */
  readonly tab: string;
  readonly openedAt: string;
  readonly seenAt: string;
}

export type Standing =
  | { readonly kind: "free" }
  | { readonly kind: "mine"; readonly claim: Claim }
  | { readonly kind: "submitted"; readonly claim: Claim }
  | { readonly kind: "elsewhere"; readonly claim: Claim };

/** What a claim means to the page `tab` at the time `nowMs`. */
export function standing(claim: Claim | null, tab: string, nowMs: number): Standing {
  if (claim === null) return { kind: "free" };
  if (claim.state === "submitted") return { kind: "submitted", claim };
  if (claim.tab === tab) return { kind: "mine", claim };
  const seen = Date.parse(claim.seenAt);
  // A clock that is ahead of ours makes a claim of the future: it holds.
  if (Number.isNaN(seen) || nowMs - seen > STALE_MS) return { kind: "free" };
  return { kind: "elsewhere", claim };
}

export async function loadClaim(xnat: XnatClient, project: string, examId: string): Promise<Claim | null> {
  const fields = await xnat.optionalJson(fieldsPath(project, examId), { fieldNames: KEY });
  return isObject(fields) ? readClaim(fields[KEY]) : null;
}

export async function saveClaim(xnat: XnatClient, project: string, examId: string, claim: Claim): Promise<void> {
  await xnat.putJson(fieldsPath(project, examId), written(claim));
}

/** Let go of a claim while the page closes: another window need not wait until it is stale. */
export function releaseClaim(xnat: XnatClient, project: string, examId: string, claim: Claim): void {
  xnat.putOnLeaving(fieldsPath(project, examId), written({ ...claim, seenAt: "" }));
}

function written(claim: Claim): object {
  return { [KEY]: { state: claim.state, tab: claim.tab, opened_at: claim.openedAt, seen_at: claim.seenAt } };
}

/** Claims of several sessions; at most `AT_ONCE` requests at a time, since XNAT has no list of custom fields. */
export async function loadClaims(
  xnat: XnatClient,
  project: string,
  examIds: readonly string[],
  found: (examId: string, claim: Claim | null) => void,
): Promise<void> {
  const waiting = [...examIds];
  const work = async (): Promise<void> => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift())
      found(id, await loadClaim(xnat, project, id));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

const AT_ONCE = 6;

/** This page's name: kept over a reload, new in a duplicated tab (which has no hold of the lock, see `holdTab`). */
export function tabName(page: Window = window): string {
  const name = page.sessionStorage.getItem(TAB) ?? page.crypto.randomUUID();
  page.sessionStorage.setItem(TAB, name);
  return name;
}

const TAB = "overread.tab";

/**
 * Keep other tabs of this browser from a reading as long as this page lives. Returns whether the page got it; `steal`
 * takes it from the tab that has it.
 */
export async function holdTab(name: string, steal = false, page: Window = window): Promise<boolean> {
  const locks = page.navigator.locks as LockManager | undefined;
  if (locks === undefined) return true; // the claim on the server still tells
  return new Promise<boolean>((settle) => {
    const held = async (lock: Lock | null): Promise<void> => {
      settle(lock !== null);
      if (lock !== null) await new Promise<void>(() => undefined);
    };
    const options: LockOptions = steal ? { steal: true } : { ifAvailable: true };
    // A lock that is taken away rejects: the page hears of it when it looks at its claim.
    locks.request(name, options, held).catch(() => undefined);
  });
}

export function fieldsPath(project: string, examId: string): string {
  return path("xapi", "custom-fields", "projects", project, "experiments", examId, "fields");
}

function readClaim(value: unknown): Claim | null {
  if (!isObject(value)) return null;
  const row = new Row(value);
  return {
    state: row.text("state") === "submitted" ? "submitted" : "open",
    tab: row.text("tab"),
    openedAt: row.text("opened_at"),
    seenAt: row.text("seen_at"),
  };
}
