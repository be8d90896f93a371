/** Address of an exam's review page: project and accession id, nothing of the patient. */
export function reviewUrl(project: string, examId: string, settings: Readonly<Record<string, string>> = {}): string {
  return `/overread/review?${new URLSearchParams({ project, experiment: examId, ...settings }).toString()}`;
}
