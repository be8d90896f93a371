/** What the host page hears, and what it may ask for. */

import { startCorrecting, watchSegments } from "./correcting.js";
import { draftOf, restore } from "./draft.js";
import { tell } from "./place.js";
import { isSaving } from "./saving.js";

const PAGE_KEYS = ["a", "e", "r", "n"];
const ACTIVITY_EVERY_MS = 5000;

const KEEP_AFTER_MS = 1000;

export function listen(managers, measuring) {
  const { servicesManager, commandsManager } = managers;
  const { segmentationService } = servicesManager.services;
  // Loading a mask changes its data as well: only what follows a reader's own action in the picture is an edit.
  let touched = false;
  const touch = (event) => {
    if (event.target instanceof Element && event.target.closest('[data-cy="viewport-pane"]')) touched = true;
  };
  let stroke = false;
  let keeping = 0;
  const edited = () => {
    tell({ type: "overread:edited" });
    clearTimeout(keeping);
    keeping = setTimeout(() => {
      const draft = draftOf(managers, measuring.loaded);
      if (draft && !isSaving()) tell({ type: "overread:draft", draft });
    }, KEEP_AFTER_MS);
  };
  const goOn = async (draft) => {
    measuring.now(); // what was loaded is known before it is changed
    const ok = await restore(managers, draft).catch(() => false);
    tell({ type: "overread:restored", ok });
    touched = ok;
    if (ok) edited();
  };
  window.addEventListener("pointerdown", touch, true);
  window.addEventListener("pointerdown", () => (stroke = true), true);
  const { SEGMENTATION_ADDED, SEGMENTATION_DATA_MODIFIED, SEGMENTATION_LOADING_COMPLETE } = segmentationService.EVENTS;
  segmentationService.subscribe(SEGMENTATION_DATA_MODIFIED, () => {
    measuring.soon();
    if (!touched) return;
    if (stroke) measuring.strokes += 1;
    stroke = false;
    edited();
  });
  segmentationService.subscribe(SEGMENTATION_ADDED, () => measuring.soon());
  segmentationService.subscribe(SEGMENTATION_LOADING_COMPLETE, () => tell({ type: "overread:mask" }));
  // The page's keys work in the picture as well; in a field they are text.
  window.addEventListener(
    "keydown",
    (event) => {
      const field = event.target instanceof Element && event.target.closest("input, textarea, [contenteditable]");
      if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || field) return;
      if (!PAGE_KEYS.includes(event.key.toLowerCase()) || window.parent === window) return;
      event.stopImmediatePropagation();
      event.preventDefault();
      tell({ type: "overread:key", key: event.key });
    },
    true,
  );
  let told = 0;
  const active = () => {
    if (Date.now() - told < ACTIVITY_EVERY_MS) return;
    told = Date.now();
    tell({ type: "overread:activity" });
  };
  for (const kind of ["pointermove", "pointerdown", "wheel", "keydown"]) {
    window.addEventListener(kind, active, { capture: true, passive: true });
  }
  window.addEventListener("message", (event) => {
    if (event.origin !== window.location.origin || event.source !== window.parent) return;
    if (event.data && event.data.type === "overread:save") commandsManager.runCommand("reviewSave");
    if (event.data && event.data.type === "overread:brush") startCorrecting(servicesManager.services);
    if (event.data && event.data.type === "overread:restore") void goOn(event.data.draft);
  });
  watchSegments(servicesManager.services);
}
