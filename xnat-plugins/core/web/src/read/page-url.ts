export function worklistUrl(project: string): string {
  return `/overread/worklist?${new URLSearchParams({ project }).toString()}`;
}

/** `onward`: go on to the first open case where this one was sent already. */
export function readUrl(project: string, session: string, onward = false): string {
  const query = new URLSearchParams({ project, session });
  if (onward) query.set("onward", "1");
  return `/overread/read?${query.toString()}`;
}
