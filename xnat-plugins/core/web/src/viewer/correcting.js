/** Correcting: brush in hand, other segments locked, new segments named, slices filled in between, no dead tools. */

import { filling } from "./interpolating.js";
import { activeSegmentationId, cornerstoneOf, slicesOf } from "./mask.js";

/** Tools that need a program which is not served (136 MB), or another modality. */
const DEAD_TOOLS = ["LabelmapSlicePropagation", "MarkerLabelmap", "ClickSegment"];
const UNNAMED = /^Segment \d+$/;
/** Stored values of 16 bits: MR has no fixed scale, and OHIF's own ends at 1000. */
const LARGEST_VALUE = 4095;

function segmentsOf(services, id) {
  const segmentation = id ? services.segmentationService.getSegmentation(id) : null;
  return Object.values((segmentation && segmentation.segments) || {});
}

/** Brush and eraser change all that they touch: lock every segment but the active one. */
function lockOthers(services, id) {
  const segments = segmentsOf(services, id);
  const active = segments.find((segment) => segment.active) || segments[0];
  for (const segment of segments) {
    const locked = segment !== active;
    if (Boolean(segment.locked) !== locked) {
      services.segmentationService.setSegmentLocked(id, segment.segmentIndex, locked);
    }
  }
}

/** Take the brush, with every segment but the active one locked. */
export function startCorrecting(services) {
  lockOthers(services, activeSegmentationId(services));
  const brush = document.querySelector('[data-cy="Brush-btn"]');
  if (brush instanceof HTMLElement) brush.click();
  window.focus();
}

/** A further segment is a further lesion: "Lesion 2", by which the server knows its codes. */
function nameNew(services, id, known) {
  const segments = segmentsOf(services, id);
  const first = segments.find((segment) => known.has(segment.segmentIndex));
  for (const segment of segments) {
    if (known.has(segment.segmentIndex)) continue;
    known.add(segment.segmentIndex);
    const stem = first && first.label ? first.label.replace(/[\s_#-]*\d+$/, "") : "Lesion";
    if (!UNNAMED.test(segment.label || "")) continue;
    services.segmentationService.setSegmentLabel(id, segment.segmentIndex, `${stem} ${segment.segmentIndex}`);
  }
}

/** Watch the list of segments: new ones get a name, and whichever becomes active, the others are locked. */
export function watchSegments(services) {
  const { segmentationService } = services;
  const seen = new Map();
  const look = () => {
    const id = activeSegmentationId(services);
    const segments = segmentsOf(services, id);
    if (segments.length === 0) return;
    const active = (segments.find((segment) => segment.active) || segments[0]).segmentIndex;
    const before = seen.get(id);
    if (!before) {
      seen.set(id, { active, known: new Set(segments.map((segment) => segment.segmentIndex)) });
      return;
    }
    nameNew(services, id, before.known);
    if (before.active === active) return;
    before.active = active; // first: locking is a change as well
    lockOthers(services, id);
  };
  segmentationService.subscribe(segmentationService.EVENTS.SEGMENTATION_MODIFIED, look);
  segmentationService.subscribe(segmentationService.EVENTS.SEGMENTATION_LOADING_COMPLETE, look);
}

/** Fill the slices that were left out between drawn ones; one step for undo. */
export function interpolate(managers, loaded) {
  const services = managers.servicesManager.services;
  const say = (type, message) => services.uiNotificationService.show({ title: "Fill between slices", message, type });
  const mask = slicesOf(managers);
  const active = mask && mask.segments.find((segment) => segment.active);
  if (!active) return;
  const isChanged = (at, place) => {
    const before = loaded && loaded.id === mask.id ? loaded.slices[at] : null;
    return mask.slices[at][place] !== (before ? before[place] : 0);
  };
  const number = active.segmentIndex;
  const found = filling(mask.slices, number, mask.columns, mask.spacing, isChanged);
  if ([...found.values()].every((places) => places.length === 0)) {
    say("info", "Nothing to fill: draw the same lesion on two slices, with slices between them left out.");
    return;
  }
  const { cornerstone, cornerstoneTools } = cornerstoneOf(managers);
  const { triggerSegmentationDataModified } = cornerstoneTools.segmentation.triggerSegmentationEvents;
  const restoreMemo = (isUndo) => {
    for (const [at, places] of found) {
      for (const place of places) mask.slices[at][place] = isUndo === false ? number : 0;
    }
    triggerSegmentationDataModified(mask.id);
  };
  restoreMemo(false);
  const { DefaultHistoryMemo } = cornerstone.utilities.HistoryMemo;
  DefaultHistoryMemo.push({ id: `fill-${Date.now()}`, operationType: "labelmap", restoreMemo });
}

/** Changes to OHIF's toolbox. */
export const toolbox = {
  "cornerstone.segmentationToolbarSections": {
    LabelMapTools: { $apply: (tools) => tools.filter((tool) => !DEAD_TOOLS.includes(tool)) },
  },
  "cornerstone.segmentationToolbarButtons": { $apply: (buttons) => buttons.map(ours) },
};

function ours(button) {
  const changed = (props) => ({ ...button, props: { ...button.props, ...props } });
  if (button.id === "Threshold") {
    // as wide as images of MR are
    const wide = (option) => (option.id === "threshold-range" ? { ...option, max: LARGEST_VALUE } : option);
    return changed({ options: button.props.options.map(wide) });
  }
  if (button.id === "InterpolateLabelmap") {
    const commands = button.props.commands.map((each) => (each === "interpolateLabelmap" ? "fillBetweenSlices" : each));
    const words = "Fill between slices: draw a lesion on two of them, then press this";
    return changed({ commands, label: words, tooltip: words });
  }
  return button;
}
