/** A mask that is not saved: the page keeps it, so that it outlives the browser. */

import { activeSegmentationId, cornerstoneOf, slicesOf } from "./mask.js";

/** What was changed since the mask was loaded: whole slices, and the segments. */
export function draftOf(managers, loaded) {
  const mask = slicesOf(managers);
  if (!mask || !loaded || loaded.id !== mask.id) return null;
  const differs = (slice, at) => {
    const before = loaded.slices[at];
    return slice.some((value, place) => value !== (before ? before[place] : 0));
  };
  return {
    count: mask.slices.length,
    slices: mask.slices.flatMap((slice, at) => (differs(slice, at) ? [{ at, values: slice.slice() }] : [])),
    segments: mask.segments.map((each) => ({ number: each.segmentIndex, label: each.label || "" })),
  };
}

/** Lay a kept draft over the mask that it was drawn on; false if that is another one. */
export async function restore(managers, draft) {
  const { segmentationService, viewportGridService } = managers.servicesManager.services;
  if (!activeSegmentationId(managers.servicesManager.services)) {
    const viewportId = viewportGridService.getActiveViewportId();
    await managers.commandsManager.runCommand("createLabelmapForViewport", { viewportId });
  }
  const mask = slicesOf(managers);
  const fits = (each) => mask.slices[each.at] && mask.slices[each.at].length === each.values.length;
  if (!mask || mask.slices.length !== draft.count || !draft.slices.every(fits)) return false;
  const known = new Set(mask.segments.map((each) => each.segmentIndex));
  for (const segment of draft.segments) {
    if (known.has(segment.number)) continue;
    segmentationService.addSegment(mask.id, { segmentIndex: segment.number, label: segment.label });
  }
  for (const { at, values } of draft.slices) mask.slices[at].set(values);
  const { segmentation } = cornerstoneOf(managers).cornerstoneTools;
  segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(mask.id);
  return true;
}
