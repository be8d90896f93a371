/**
 * The viewer in its frame: OHIF 3 at `/viewer/` where the site serves it (the hub does), else the viewer of XNAT's OHIF
 * plugin, which has its own saving.
 *
 * Page and viewer talk by messages, see `src/viewer/app-config.js`.
 */

import { el } from "../ui/dom";
import { t } from "../ui/i18n";
import { type Draft, readDraft } from "./rescue";
import { type Measured, readMeasured } from "../read/measured";

export interface ViewerCase {
  readonly project: string;
  readonly studyInstanceUid: string;
  /** Series to show, the first of them at once. */
  readonly imageSeriesUids: readonly string[];
  /** Series of the mask; empty for none. */
  readonly segSeriesUid: string;
}

export interface XnatCase {
  readonly project: string;
  readonly subjectId: string;
  readonly examId: string;
  readonly examLabel: string;
}

/** What the viewer tells. */
export type ViewerMessage =
  | { readonly type: "overread:ready" }
  | { readonly type: "overread:mask" }
  | { readonly type: "overread:edited" }
  | { readonly type: "overread:activity" }
  | { readonly type: "overread:key"; readonly key: string }
  | ({ readonly type: "overread:measured" } & Measured)
  | { readonly type: "overread:saving" }
  | { readonly type: "overread:saved"; readonly seriesInstanceUID: string; readonly sopInstanceUID: string }
  | { readonly type: "overread:save-failed"; readonly message: string }
  | { readonly type: "overread:draft"; readonly draft: Draft }
  | { readonly type: "overread:restored"; readonly ok: boolean };

/** What the viewer is told. */
export type ViewerOrder =
  { readonly type: "overread:save" | "overread:brush" } | { readonly type: "overread:restore"; readonly draft: Draft };

export function viewerUrl(shown: ViewerCase): string {
  const series = [...shown.imageSeriesUids, shown.segSeriesUid].filter((uid) => uid !== "");
  const query = new URLSearchParams({ project: shown.project, StudyInstanceUIDs: shown.studyInstanceUid });
  // Without images in the filter the viewer would show the mask alone.
  if (shown.imageSeriesUids.length > 0) query.set("SeriesInstanceUIDs", series.join(","));
  query.set("hangingProtocolId", "review");
  return `/viewer/segmentation?${query.toString()}`;
}

export function xnatViewerUrl(shown: XnatCase): string {
  const query = new URLSearchParams({
    subjectId: shown.subjectId,
    projectId: shown.project,
    experimentId: shown.examId,
    experimentLabel: shown.examLabel,
  });
  return `/VIEWER?${query.toString()}`;
}

/** Whether this site serves OHIF 3 with our configuration. */
export async function hasOhif3(): Promise<boolean> {
  try {
    const response = await fetch("/viewer/app-config.js", { method: "HEAD", credentials: "same-origin" });
    return response.ok && (response.headers.get("Content-Type") ?? "").includes("javascript");
  } catch {
    return false;
  }
}

/** The frame; `onMessage` gets only what comes from this very frame and this very site. */
export class ViewerFrame {
  readonly element = el("iframe", { class: "viewer", title: t("Images with the segmentation"), allow: "fullscreen" });

  constructor(onMessage: (message: ViewerMessage) => void) {
    window.addEventListener("message", (event: MessageEvent<unknown>) => {
      if (event.origin !== window.location.origin || event.source !== this.element.contentWindow) return;
      const message = readMessage(event.data);
      if (message !== null) onMessage(message);
    });
  }

  open(url: string): void {
    // A full load for each case: the viewer keeps caches of the case before.
    this.element.contentWindow?.location.replace(url);
  }

  openCase(shown: ViewerCase): void {
    this.open(viewerUrl(shown));
  }

  /** Tell the viewer what to do. */
  post(message: ViewerOrder): void {
    this.element.contentWindow?.postMessage(message, window.location.origin);
  }
}

export function readMessage(data: unknown): ViewerMessage | null {
  if (typeof data !== "object" || data === null) return null;
  const record = data as Record<string, unknown>;
  const text = (key: string): string => (typeof record[key] === "string" ? record[key] : "");
  switch (record["type"]) {
    case "overread:ready":
    case "overread:mask":
    case "overread:edited":
    case "overread:activity":
    case "overread:saving":
      return { type: record["type"] };
    case "overread:measured":
      return { type: "overread:measured", ...readMeasured(record) };
    case "overread:key":
      return { type: "overread:key", key: text("key").slice(0, 20) };
    case "overread:saved":
      return {
        type: "overread:saved",
        seriesInstanceUID: text("seriesInstanceUID"),
        sopInstanceUID: text("sopInstanceUID"),
      };
    case "overread:save-failed":
      return { type: "overread:save-failed", message: text("message") };
    case "overread:restored":
      return { type: "overread:restored", ok: record["ok"] === true };
    case "overread:draft": {
      const draft = readDraft(record["draft"]);
      return draft === null ? null : { type: "overread:draft", draft };
    }
    default:
      return null;
  }
}
