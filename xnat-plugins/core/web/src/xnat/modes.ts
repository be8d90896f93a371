/** In which mode a study was when: the changes that `overread study mode` keeps in the study's project. */

import { t } from "../ui/i18n";
import { type XnatClient, path } from "./client";
import { type Mode, readMode } from "./studies";
import { asArray, isObject, Row } from "./tables";

export interface ModeChange {
  /** ISO 8601, in UTC. */
  readonly at: string;
  readonly before: Mode;
  readonly after: Mode;
  readonly by: string;
  readonly reason: string;
}

/** The changes of a study's mode, oldest first; none where it always was what it is. */
export async function loadModeChanges(xnat: XnatClient, project: string): Promise<ModeChange[]> {
  const where = path("data", "projects", project, "config", "overread", "modes");
  return readModeChanges(await xnat.json(where, { contents: "true", "accept-not-found": "true" }));
}

export function readModeChanges(json: unknown): ModeChange[] {
  return asArray(isObject(json) ? json["changes"] : null).map((each) => {
    const row = new Row(each);
    return {
      at: row.text("at"),
      before: readMode(row.text("before")),
      after: readMode(row.text("after")),
      by: row.text("by"),
      reason: row.text("reason"),
    };
  });
}

/** The mode in which the study was when XNAT got a result (`YYYY-MM-DD HH:MM:SS.sss`, a server's clock is UTC). */
export function modeAt(storedAt: string, changes: readonly ModeChange[], now: Mode): Mode {
  const asIso = storedAt.trim().replace(" ", "T");
  const when = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(asIso) ? asIso : `${asIso}Z`);
  if (changes.length === 0 || Number.isNaN(when)) return now;
  return changes.filter((each) => Date.parse(each.at) <= when).at(-1)?.after ?? changes[0]!.before;
}

export function modeWords(mode: Mode): string {
  const words: Record<Mode, string> = { shadow: t("shadow"), assist: t("assist"), live: t("live") };
  return words[mode];
}

/** What a page says of a result: the mode, and whether the result is from before it. */
export function modeFact(now: Mode, changes: readonly ModeChange[], storedAt: string | null): string {
  const then = storedAt === null ? now : modeAt(storedAt, changes, now);
  if (then === now) return modeWords(now);
  return t("{mode}; this result is from {former}", { mode: modeWords(now), former: modeWords(then) });
}
