/** How far reports of an exam are on their way to DICOM nodes, as `overread report send` keeps it in custom fields. */

import { type XnatClient, path } from "./client";
import { isObject, Row } from "./tables";

export const DELIVERY_STATES = ["held", "waiting", "sent", "committed", "refused"] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

export interface Delivery {
  /** ID of the scan that is the report. */
  readonly scan: string;
  /** `2025-01-14 12:30`, from the scan's ID; the ID where it is another. */
  readonly made: string;
  /** AE title. */
  readonly node: string;
  readonly state: DeliveryState;
  readonly reason: string;
}

const PREFIX = "report:";
const MADE = /^report-(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})/;

/** Newest first; none where nothing was sent, or XNAT has no custom fields. */
export async function loadDeliveries(xnat: XnatClient, project: string, examId: string): Promise<Delivery[]> {
  return readDeliveries(
    await xnat.optionalJson(path("xapi", "custom-fields", "projects", project, "experiments", examId, "fields")),
  );
}

export function readDeliveries(fields: unknown): Delivery[] {
  if (!isObject(fields)) return [];
  const found: Delivery[] = [];
  for (const [key, value] of Object.entries(fields)) {
    const nodes = key.startsWith(PREFIX) && isObject(value) ? value["nodes"] : null;
    if (!isObject(nodes)) continue;
    const scan = key.slice(PREFIX.length);
    for (const [node, told] of Object.entries(nodes)) {
      const row = new Row(told);
      const state = DELIVERY_STATES.find((each) => each === row.text("state"));
      if (state !== undefined) found.push({ scan, made: madeAt(scan), node, state, reason: row.text("reason") });
    }
  }
  return found.sort((a, b) => b.scan.localeCompare(a.scan) || a.node.localeCompare(b.node));
}

function madeAt(scan: string): string {
  const [, year, month, day, hour, minute] = MADE.exec(scan) ?? [];
  return minute === undefined ? scan : `${year}-${month}-${day} ${hour}:${minute}`;
}
