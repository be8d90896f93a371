/**
 * Configuration of OHIF 3.13 for Overread: run by the viewer before it starts, as it is (no build step).
 *
 * The page's address says what is shown:
 *   /viewer/segmentation?project=P&StudyInstanceUIDs=S&SeriesInstanceUIDs=<image>,...,<mask>&hangingProtocolId=review
 * The first series of the list is shown at once; a mask of the list lies on it.
 *
 * Messages to the host page (same origin only): overread:ready, overread:mask (it lies on the images), overread:edited,
 *   overread:saving,
 *   {type: 'overread:saved', seriesInstanceUID, sopInstanceUID}, {type: 'overread:save-failed', message}.
 *   {type: 'overread:measured', segments, edits}: volumes of the mask, and what was drawn since it was loaded.
 *   overread:activity, {type: 'overread:key', key} for the page's own keys (a, e, r, n), which the viewer does not get.
 *   {type: 'overread:draft', draft}: what was drawn and is not saved, for the page to keep;
 *   {type: 'overread:restored', ok}: answer to overread:restore.
 * Messages from the host page: {type: 'overread:save'}, {type: 'overread:brush'} to begin correcting,
 *   {type: 'overread:restore', draft} to go on with a mask that was kept.
 *
 * What is stored here is a draft: OHIF's own SEG writer has known faults, so the server writes it anew.
 */
(function () {
  "use strict";

  const query = new URLSearchParams(window.location.search);
  const project = /^[A-Za-z0-9_-]+$/.test(query.get("project") || "") ? query.get("project") : "_";
  const firstSeries = (query.get("SeriesInstanceUIDs") || "").split(",")[0];
  const root = "/xapi/dicomweb/projects/" + project;

  const PAGE_KEYS = ["a", "e", "r", "n"];
  const ACTIVITY_EVERY_MS = 5000;
  const BRUSH_RADIUS_MM = 5; // OHIF's own 25 mm is larger than most lesions

  function tell(message) {
    if (window.parent !== window) window.parent.postMessage(message, window.location.origin);
  }

  // --- Saving -------------------------------------------------------------------------------------------------

  async function csrfToken() {
    const response = await fetch("/data/JSESSION?CSRF=true", { credentials: "same-origin", cache: "no-store" });
    const found = /XNAT_CSRF=([^;\s]+)/.exec(response.ok ? await response.text() : "");
    return found ? found[1] : "";
  }

  /** A request that carries the session's CSRF token, which XNAT wants in the query. */
  class StoreRequest extends XMLHttpRequest {
    constructor(token) {
      super();
      this.token = token;
    }

    open(method, url, isAsync) {
      super.open(method, url + "?XNAT_CSRF=" + encodeURIComponent(this.token), isAsync);
    }
  }

  /** UIDs under which the server keeps the object (PS3.18 10.5: ReferencedSOPSequence of the answer). */
  function storedAs(request, dataset) {
    let item = {};
    try {
      item = JSON.parse(request.responseText)["00081199"].Value[0];
    } catch (error) {
      console.debug("the answer to the store request names no instance", error);
    }
    const url = item["00081190"] ? String(item["00081190"].Value[0]) : "";
    const series = /\/series\/([0-9.]+)/.exec(url);
    return {
      seriesInstanceUID: series ? series[1] : dataset.SeriesInstanceUID,
      sopInstanceUID: item["00081155"] ? item["00081155"].Value[0] : dataset.SOPInstanceUID,
    };
  }

  /** Words of a refusal: the server's own text, if it sent one. */
  function refusal(error, request) {
    const text = request && request.readyState === 4 ? request.responseText.trim() : "";
    if (text && text.length < 500 && !/^[<{[]/.test(text)) return text;
    if (request && request.status === 401) return "your login has run out; log in again in another tab, then save";
    if (request && request.status === 403) return "you may not edit in this project";
    if (request && request.status) return "the server answered " + request.status;
    const message = error instanceof Error ? error.message : String(error);
    if (/no non-empty/i.test(message)) return "the mask is empty, and an empty mask cannot be stored";
    if (/not in cache/i.test(message)) return "the images are still loading; try again in a moment";
    return message;
  }

  /** Reference to the mask that was loaded and changed (PS3.3 C.18.3.2), so that the server finds what it came from. */
  function predecessorOf(displaySet) {
    return [
      {
        StudyInstanceUID: displaySet.StudyInstanceUID,
        ReferencedSeriesSequence: [
          {
            SeriesInstanceUID: displaySet.SeriesInstanceUID,
            ReferencedSOPSequence: [
              {
                ReferencedSOPClassUID: displaySet.SOPClassUID,
                ReferencedSOPInstanceUID: displaySet.SOPInstanceUID,
              },
            ],
          },
        ],
      },
    ];
  }

  function activeSegmentationId(services) {
    const viewportId = services.viewportGridService.getActiveViewportId();
    const shown = viewportId ? services.segmentationService.getSegmentationRepresentations(viewportId) : [];
    const active = shown.find((each) => each.active) || shown[0] || services.segmentationService.getSegmentations()[0];
    return active ? active.segmentationId : null;
  }

  let saving = false;

  async function reviewSave({ servicesManager, commandsManager, extensionManager }) {
    const services = servicesManager.services;
    const notify = (type, message) => services.uiNotificationService.show({ title: "Save review", message, type });
    if (saving) return;
    saving = true;
    tell({ type: "overread:saving" });
    let request = null;
    try {
      const segmentationId = activeSegmentationId(services);
      if (!segmentationId) throw new Error("there is no segmentation: add one at the right, and paint");
      const { dataset } = commandsManager.runCommand(
        "generateSegmentation",
        { segmentationId, options: { SeriesDescription: "Reader segmentation", SeriesNumber: 3000 } },
        "SEGMENTATION",
      );
      if (dataset.StudyID === "No Study ID") dataset.StudyID = "";
      const loaded = services.displaySetService.getDisplaySetByUID(segmentationId);
      if (loaded && loaded.Modality === "SEG") dataset.PredecessorDocumentsSequence = predecessorOf(loaded);
      request = new StoreRequest(await csrfToken());
      await extensionManager.getActiveDataSource()[0].store.dicom(dataset, request);
      notify("success", "Saved.");
      tell({ type: "overread:saved", ...storedAs(request, dataset) });
    } catch (error) {
      console.error("save failed", error);
      const message = refusal(error, request);
      notify("error", "Not saved: " + message);
      tell({ type: "overread:save-failed", message });
    } finally {
      saving = false;
    }
  }

  /** Take the brush, with every segment but the active one locked: brush and eraser would change all that they touch. */
  function startCorrecting(services) {
    const id = activeSegmentationId(services);
    const segmentation = id ? services.segmentationService.getSegmentation(id) : null;
    const segments = Object.values((segmentation && segmentation.segments) || {});
    const active = segments.find((segment) => segment.active) || segments[0];
    for (const segment of segments) {
      services.segmentationService.setSegmentLocked(id, segment.segmentIndex, segment !== active);
    }
    const brush = document.querySelector('[data-cy="Brush-btn"]');
    if (brush instanceof HTMLElement) brush.click();
    window.focus();
  }

  // --- Measuring what is on screen ----------------------------------------------------------------------------

  const MEASURE_AFTER_MS = 700;

  /** Slices of the mask: numbers of segments (one byte or more for each voxel), and the volume of a voxel in mL. */
  function slicesOf(managers) {
    const id = activeSegmentationId(managers.servicesManager.services);
    const segmentation = id ? managers.servicesManager.services.segmentationService.getSegmentation(id) : null;
    const labelmap = segmentation && segmentation.representationData && segmentation.representationData.Labelmap;
    if (!labelmap) return null;
    const common = managers.extensionManager.getModuleEntry("@ohif/extension-cornerstone.utilityModule.common");
    const { cache, metaData } = common.exports.getCornerstoneLibraries().cornerstone;
    const volume = labelmap.volumeId ? cache.getVolume(labelmap.volumeId) : null;
    const imageIds = labelmap.imageIds || (volume && volume.imageIds) || [];
    const images = imageIds.map((each) => cache.getImage(each)).filter(Boolean);
    if (images.length === 0 || images.length < imageIds.length) return null;
    const planes = images.map((image) => metaData.get("imagePlaneModule", image.referencedImageId) || {});
    return {
      id,
      segments: Object.values(segmentation.segments || {}),
      slices: images.map((image) => image.voxelManager.getScalarData()),
      voxelMl: (images[0].rowPixelSpacing * images[0].columnPixelSpacing * sliceDistance(planes)) / 1000,
    };
  }

  /** Distance between neighbouring slices in mm, along their common normal (PS3.3 C.7.6.2.1.1). */
  function sliceDistance(planes) {
    const placed = planes.filter((plane) => plane.imagePositionPatient && plane.rowCosines && plane.columnCosines);
    if (placed.length < 2) return (planes[0] && planes[0].sliceThickness) || 1;
    const [r, c] = [placed[0].rowCosines, placed[0].columnCosines];
    const normal = [r[1] * c[2] - r[2] * c[1], r[2] * c[0] - r[0] * c[2], r[0] * c[1] - r[1] * c[0]];
    const along = placed.map((plane) => plane.imagePositionPatient.reduce((sum, x, at) => sum + x * normal[at], 0));
    return (Math.max(...along) - Math.min(...along)) / (placed.length - 1);
  }

  /** Measures a mask, and compares it with what it was when it was loaded. */
  class Measuring {
    constructor(managers) {
      this.managers = managers;
      this.loaded = null;
      this.strokes = 0;
      this.timer = 0;
    }

    soon() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.now(), MEASURE_AFTER_MS);
    }

    now() {
      const mask = slicesOf(this.managers);
      if (!mask) return;
      if (!this.loaded || this.loaded.id !== mask.id) {
        // Only slices with something on them are kept.
        const kept = mask.slices.map((slice) => (slice.some((value) => value !== 0) ? slice.slice() : null));
        this.loaded = { id: mask.id, slices: kept };
        this.strokes = 0;
      }
      const [voxels, changes] = [new Map(), new Map()];
      mask.slices.forEach((slice, at) => compare(slice, this.loaded.slices[at] || null, voxels, changes));
      const named = (number) => {
        const segment = mask.segments.find((each) => each.segmentIndex === number);
        return (segment && segment.label) || "";
      };
      const numbers = [...new Set([...mask.segments.map((each) => each.segmentIndex), ...voxels.keys()])];
      tell({
        type: "overread:measured",
        segments: numbers
          .sort((a, b) => a - b)
          .map((number) => {
            const count = voxels.get(number) || 0;
            return { number, label: named(number), voxels: count, ml: count * mask.voxelMl };
          }),
        edits: {
          strokes: this.strokes,
          segments: [...changes].map(([number, change]) => ({ number, label: named(number), ...change })),
        },
      });
    }
  }

  // --- A mask that is not saved, kept by the page, so that it outlives the browser ------------------------------

  const KEEP_AFTER_MS = 1000;

  /** What was changed since the mask was loaded: whole slices, and the segments. */
  function draftOf(managers, loaded) {
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
  async function restore(managers, draft) {
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
    const common = managers.extensionManager.getModuleEntry("@ohif/extension-cornerstone.utilityModule.common");
    const { segmentation } = common.exports.getCornerstoneLibraries().cornerstoneTools;
    segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(mask.id);
    return true;
  }

  /** Count a slice's voxels by segment, and those that a segment gained and lost. */
  function compare(now, before, voxels, changes) {
    const touched = new Set();
    const change = (number) => {
      if (!changes.has(number)) changes.set(number, { added_voxels: 0, removed_voxels: 0, slices: 0 });
      touched.add(number);
      return changes.get(number);
    };
    for (let at = 0; at < now.length; at += 1) {
      const [value, was] = [now[at], before === null ? 0 : before[at]];
      if (value !== 0) voxels.set(value, (voxels.get(value) || 0) + 1);
      if (value === was) continue;
      if (value !== 0) change(value).added_voxels += 1;
      if (was !== 0) change(was).removed_voxels += 1;
    }
    for (const number of touched) changes.get(number).slices += 1;
  }

  // --- What the host page hears -------------------------------------------------------------------------------

  function listen(managers) {
    const { servicesManager, commandsManager } = managers;
    const { segmentationService } = servicesManager.services;
    const measuring = new Measuring(managers);
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
        if (draft && !saving) tell({ type: "overread:draft", draft });
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
    const { SEGMENTATION_ADDED, SEGMENTATION_DATA_MODIFIED, SEGMENTATION_LOADING_COMPLETE } =
      segmentationService.EVENTS;
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
  }

  // --- How an exam is hung ------------------------------------------------------------------------------------

  const imageRules = [
    { attribute: "Modality", constraint: { doesNotEqual: "SEG" }, required: true },
    { attribute: "numImageFrames", constraint: { greaterThan: { value: 0 } }, required: true },
  ];
  if (firstSeries) {
    imageRules.push({ attribute: "SeriesInstanceUID", constraint: { equals: { value: firstSeries } }, required: true });
  }

  const protocol = {
    id: "review",
    name: "Review",
    protocolMatchingRules: [],
    displaySetSelectors: {
      image: { seriesMatchingRules: imageRules },
      mask: {
        seriesMatchingRules: [{ attribute: "Modality", constraint: { equals: { value: "SEG" } }, required: true }],
      },
    },
    stages: [
      {
        name: "review",
        viewportStructure: { layoutType: "grid", properties: { rows: 1, columns: 1 } },
        viewports: [
          {
            viewportOptions: {
              viewportType: "stack",
              toolGroupId: "default",
              initialImageOptions: { preset: "middle" },
            },
            displaySets: [{ id: "image" }, { id: "mask" }],
          },
        ],
      },
    ],
  };

  const reviewExtension = {
    id: "overread-review",
    onModeEnter: ({ servicesManager, commandsManager }) => {
      const grid = servicesManager.services.viewportGridService;
      // The tools are there only once the viewports are; later rounds must not undo the reader's own choice.
      const { unsubscribe } = grid.subscribe(grid.EVENTS.VIEWPORTS_READY, () => {
        unsubscribe();
        commandsManager.runCommand("setBrushSize", { value: BRUSH_RADIUS_MM });
        tell({ type: "overread:ready" });
      });
    },
    preRegistration: (managers) => listen(managers),
    getHangingProtocolModule: () => [{ name: protocol.id, protocol }],
    getCommandsModule: (managers) => ({
      defaultContext: "DEFAULT",
      definitions: { reviewSave: () => reviewSave(managers) },
    }),
  };

  // --- Toolbar ------------------------------------------------------------------------------------------------

  const saveButton = {
    id: "ReviewSave",
    uiType: "ohif.toolButton",
    props: {
      icon: "Export",
      label: "Save review",
      tooltip: "Save the mask as a new version; the model\u2019s own is kept",
      commands: "reviewSave",
      evaluate: "evaluate.action",
    },
  };

  window.config = {
    name: "overread",
    routerBasename: "/viewer",
    showStudyList: false,
    extensions: [reviewExtension],
    modes: [],
    modesConfiguration: {
      // The review page lists the exams itself: the left panel begins closed, to leave room for the images.
      "@ohif/mode-segmentation": { routes: { 0: { layoutInstance: { props: { leftPanelClosed: { $set: true } } } } } },
    },
    customizationService: {
      global: {
        "ohif.tours": { $set: [] },
        "cornerstone.toolbarButtons": { $push: [saveButton] },
        "cornerstone.segmentationModeToolbarSections": { primary: { $unshift: ["ReviewSave"] } },
      },
    },
    investigationalUseDialog: { option: "never" }, // the review page carries the banner
    disableConfirmationPrompts: true,
    maxNumberOfWebWorkers: 2,
    strictZSpacingForVolumeViewport: true,
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: false,
    showLoadingIndicator: true,
    maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
    whiteLabeling: {
      createLogoComponentFn: (React) => React.createElement("div", { className: "text-foreground" }, "Overread"),
    },
    defaultDataSourceName: "hub",
    dataSources: [
      {
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName: "hub",
        configuration: {
          friendlyName: "Hub",
          name: "hub",
          qidoRoot: root,
          wadoRoot: root,
          wadoUriRoot: root,
          qidoSupportsIncludeField: true,
          supportsFuzzyMatching: false,
          supportsWildcard: false,
          imageRendering: "wadors",
          thumbnailRendering: "wadors",
          enableStudyLazyLoad: true,
          supportsStow: true,
          omitQuotationForMultipartRequest: true,
          dicomUploadEnabled: false,
          bulkDataURI: { enabled: true },
          // Label maps keep segment numbers when a lower segment is deleted; bit maps don't.
          segmentation: { store: { defaultMode: "labelmap", transferSyntaxUID: "1.2.840.10008.1.2.1" } },
        },
      },
    ],
  };
})();
