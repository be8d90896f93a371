/** What the viewer's address says, and how its host page is told something. */

const query = new URLSearchParams(window.location.search);
export const project = /^[A-Za-z0-9_-]+$/.test(query.get("project") || "") ? query.get("project") : "_";
export const firstSeries = (query.get("SeriesInstanceUIDs") || "").split(",")[0];
export const root = "/xapi/dicomweb/projects/" + project;

export function tell(message) {
  if (window.parent !== window) window.parent.postMessage(message, window.location.origin);
}
