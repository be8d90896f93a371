import { describe, expect, it, vi } from "vitest";
import { Clock } from "../src/review/clock";
import type { Rescue } from "../src/review/rescue";
import { Stage, type StageHooks } from "../src/review/stage";
import { SegmentationSheet } from "../src/read/segmentation";
import type { Reading, Worklist } from "../src/xnat/worklist";
import { Peer } from "./peer";

/** What the viewer in this element's frame tells, one message after the other. */
function tell(element: HTMLElement, ...types: string[]): void {
  document.body.replaceChildren(element);
  const source = element.querySelector("iframe")!.contentWindow;
  for (const type of types)
    window.dispatchEvent(new MessageEvent("message", { data: { type }, origin: window.location.origin, source }));
}

describe("what is drawn while a mask is being saved", () => {
  it("is not saved yet, on the review page", () => {
    const hooks = { edited: vi.fn(), saved: vi.fn(), shown: vi.fn() } as unknown as StageHooks;
    const stage = new Stage(hooks, true, { drop: vi.fn(), keep: vi.fn() } as unknown as Rescue);
    tell(stage.element, "overread:edited", "overread:saving", "overread:saved");
    expect(stage.unsaved).toBe(false);
    tell(stage.element, "overread:edited", "overread:saving", "overread:edited", "overread:saved");
    expect(stage.unsaved).toBe(true);
    tell(stage.element, "overread:saving", "overread:saved");
    expect(stage.unsaved).toBe(false);
  });

  it("is not saved yet, on the reading page", () => {
    const sheet = new SegmentationSheet(new Peer().client, {} as Worklist, {} as Reading, new Clock());
    tell(sheet.element, "overread:edited", "overread:saving", "overread:saved");
    expect(sheet.unsaved).toBe(false);
    tell(sheet.element, "overread:edited", "overread:saving", "overread:edited", "overread:saved");
    expect(sheet.unsaved).toBe(true);
    expect(sheet.element.querySelector("#save-status")?.textContent).toBe("Changed, not saved.");
  });
});
