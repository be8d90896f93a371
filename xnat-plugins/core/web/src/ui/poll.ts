/** Asking again until something is there, less often the longer it takes. */

export interface PollTimes {
  readonly firstMs: number;
  readonly factor: number;
  readonly maxMs: number;
  readonly giveUpMs: number;
}

export const PATIENT: PollTimes = { firstMs: 1000, factor: 1.4, maxMs: 8000, giveUpMs: 60 * 60 * 1000 };

/**
 * Ask until `ask` returns something else than `null`; `null` after `giveUpMs`.
 *
 * Stops when `signal` is aborted (then `null`). An error of `ask` ends it: the caller decides what it means.
 */
export async function poll<T>(ask: () => Promise<T | null>, times: PollTimes, signal: AbortSignal): Promise<T | null> {
  let waitMs = times.firstMs;
  let waitedMs = 0;
  while (!signal.aborted) {
    const found = await ask();
    if (found !== null) return found;
    if (waitedMs >= times.giveUpMs) return null;
    await sleep(waitMs, signal);
    waitedMs += waitMs;
    waitMs = Math.min(waitMs * times.factor, times.maxMs);
  }
  return null;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(); // aborted while asking: the event has gone by
      return;
    }
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
