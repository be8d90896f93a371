/**
 * Configuration of OHIF 3.13 for Overread: run by the viewer before it starts. The build makes one plain script of
 * this and the files beside it: dist/viewer/app-config.js.
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

import { interpolate, toolbox } from "./correcting.js";
import { protocol } from "./hanging.js";
import { listen } from "./listening.js";
import { Measuring } from "./mask.js";
import { root, tell } from "./place.js";
import { reviewSave } from "./saving.js";

const BRUSH_RADIUS_MM = 5; // OHIF's own 25 mm is larger than most lesions

let measuring = null;

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
  preRegistration: (managers) => {
    measuring = new Measuring(managers);
    listen(managers, measuring);
  },
  getHangingProtocolModule: () => [{ name: protocol.id, protocol }],
  getCommandsModule: (managers) => ({
    defaultContext: "DEFAULT",
    definitions: {
      reviewSave: () => reviewSave(managers),
      fillBetweenSlices: () => interpolate(managers, measuring && measuring.loaded),
    },
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
      ...toolbox,
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
