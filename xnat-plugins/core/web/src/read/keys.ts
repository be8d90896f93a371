/** Keys of a form: digits answer the marked question, Backspace takes back, Enter sends. */

import type { Feedback } from "../review/feedback";

export function digitKeys(
  feedback: Feedback,
  send: () => void,
  others: Readonly<Record<string, () => void>> = {},
): void {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest("textarea, select, input:not([type=radio], [type=checkbox])")) return;
    // Enter on a link or a button is its own.
    if (event.key === "Enter" && target?.closest("a, button")) return;
    const other = others[event.key.toLowerCase()];
    if (/^[1-9]$/.test(event.key)) feedback.digit(Number(event.key));
    else if (event.key === "Backspace") feedback.takeBack();
    else if (event.key === "Enter") send();
    else if (other !== undefined) other();
    else return;
    event.preventDefault();
  });
}
