/** The next case's images, fetched into the browser's cache while this one is read. */

import type { Case } from "../xnat/cases";
import { path } from "../xnat/client";
import { asArray, isObject } from "../xnat/tables";

/** As the viewer asks for frames; the cache tells answers to other questions apart. */
const FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*";
const AT_ONCE = 2;
const INSTANCE_UID = "00080018";

/** Fetch the frames of the case's series; returns how many came. Errors end it: the viewer will ask again. */
export async function prefetch(project: string, next: Case, signal: AbortSignal): Promise<number> {
  let fetched = 0;
  const study = ["xapi", "dicomweb", "projects", project, "studies", next.studyInstanceUid];
  for (const series of next.seriesUids) {
    const place = [...study, "series", series];
    const answer = await fetch(path(...place, "metadata"), {
      headers: { Accept: "application/dicom+json" },
      credentials: "same-origin",
      signal,
    });
    if (!answer.ok) return fetched;
    const waiting = asArray(await answer.json()).map(instanceUid);
    const take = async (): Promise<void> => {
      for (let uid = waiting.shift(); uid !== undefined; uid = waiting.shift()) {
        if (uid === "" || signal.aborted) continue;
        const frame = await fetch(path(...place, "instances", uid, "frames", "1"), {
          headers: { Accept: FRAMES },
          credentials: "same-origin",
          signal,
        });
        await frame.arrayBuffer();
        if (frame.ok) fetched += 1;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, take));
  }
  return fetched;
}

function instanceUid(instance: unknown): string {
  const attribute = isObject(instance) ? instance[INSTANCE_UID] : null;
  const [uid] = asArray(isObject(attribute) ? attribute["Value"] : null);
  return typeof uid === "string" ? uid : "";
}
