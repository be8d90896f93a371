/** Stores the mask on screen by STOW-RS, and says in words why that failed. */

import { activeSegmentationId } from "./mask.js";
import { tell } from "./place.js";

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

let saving = false;

export const isSaving = () => saving;

export async function reviewSave({ servicesManager, commandsManager, extensionManager }) {
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
