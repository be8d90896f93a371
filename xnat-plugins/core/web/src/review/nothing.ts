/** "There is nothing": a mask without a voxel, which the viewer cannot store by itself. The hub writes it. */

import { type XnatClient, path, XnatError } from "../xnat/client";
import { t } from "../ui/i18n";

/** Store an empty mask on an image series, as a correction of the mask with this series (empty: of none). */
export async function saveNothing(
  xnat: XnatClient,
  project: string,
  examId: string,
  imageSeriesUid: string,
  segSeriesUid: string,
): Promise<void> {
  try {
    await xnat.change("POST", path("xapi", "overread", "projects", project, "experiments", examId, "empty-mask"), {
      json: { series: imageSeriesUid, corrects: segSeriesUid },
    });
  } catch (error) {
    if (error instanceof XnatError && [404, 501].includes(error.status) && error.said === "")
      throw new Error(t("this server cannot write an empty mask"));
    if (error instanceof XnatError && error.said !== "") throw new Error(error.said);
    throw error;
  }
}
