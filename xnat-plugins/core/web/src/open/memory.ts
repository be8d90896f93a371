/**
 * The button's request, taken out of the address at once and kept in this tab only.
 *
 * An accession number in the address would go on to the history, the login page's `next` and every copied link. It is
 * kept in the tab's session storage until the exam is found, so that a reload or a login still knows it.
 */

import { readRequest, type Request } from "./resolve";

const KEY = "overread.open";

export function takeRequest(page: Window = window): Request {
  const request = readRequest(page.location.search);
  if (request.key?.kind === "accession") {
    page.sessionStorage.setItem(KEY, JSON.stringify({ ...request, accession: request.key.value }));
    page.history.replaceState(null, "", addressWithoutKey(page, request.study));
    return request;
  }
  if (request.key !== null) return request;
  const kept = readKept(page.sessionStorage.getItem(KEY));
  return kept !== null && kept.study === request.study ? kept : request;
}

export function forgetRequest(page: Window = window): void {
  page.sessionStorage.removeItem(KEY);
}

function addressWithoutKey(page: Window, study: string): string {
  return `${page.location.pathname}?${new URLSearchParams({ study }).toString()}`;
}

function readKept(text: string | null): Request | null {
  try {
    const kept = JSON.parse(text ?? "null") as Record<string, unknown> | null;
    const { study, accession, expires, signature } = kept ?? {};
    if (typeof study !== "string" || typeof accession !== "string") return null;
    if (typeof expires !== "string" || typeof signature !== "string") return null;
    return { study, key: { kind: "accession", value: accession }, expires, signature };
  } catch {
    return null;
  }
}
