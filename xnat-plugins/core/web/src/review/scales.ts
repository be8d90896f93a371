/** Axes of the plot: numbers only. */

export interface Scale {
  /** Value to position. */
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** The axis goes at least this far: noise around zero is not drawn large. */
const LEAST_ML = 1;

/** Linear axis from zero to a round number at or above `max`. */
export function volumeScale(max: number, from: number, to: number): Scale {
  const least = Math.max(max, LEAST_ML);
  const step = roundStep(least / 4);
  const top = Math.ceil(least / step - 1e-9) * step;
  const count = Math.round(top / step);
  return {
    at: (value) => from + (value / top) * (to - from),
    ticks: Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12))),
  };
}

/** Next of 1, 2, 2.5 or 5 times a power of ten. */
function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough - 1e-12) ?? 10);
}

const DAY_MS = 86_400_000;

/** Time axis over `dates` (`YYYY-MM-DD`); its ticks are day numbers of the first of a month. */
export function dateScale(dates: readonly string[], from: number, to: number): Scale {
  const days = dates.map(dayNumber).filter((day) => Number.isFinite(day));
  const first = days.length > 0 ? Math.min(...days) : 0;
  const last = days.length > 0 ? Math.max(...days) : 0;
  const padding = Math.max((last - first) * 0.04, 10);
  const [low, high] = [first - padding, last + padding];
  return { at: (day) => from + ((day - low) / (high - low)) * (to - from), ticks: monthTicks(low, high) };
}

export function dayNumber(date: string): number {
  return Date.parse(`${date}T00:00:00Z`) / DAY_MS;
}

/** `2024-01` for a tick. */
export function monthName(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 7);
}

function monthTicks(low: number, high: number): number[] {
  const months = (high - low) / 30.4;
  const every = [1, 2, 3, 6, 12, 24, 60].find((step) => months / step <= 6) ?? 120;
  const start = new Date(low * DAY_MS);
  const ticks: number[] = [];
  for (let month = start.getUTCFullYear() * 12 + start.getUTCMonth(); ; month += 1) {
    if (month % every !== 0) continue;
    const day = Date.UTC(Math.floor(month / 12), month % 12, 1) / DAY_MS;
    if (day > high) return ticks;
    if (day >= low) ticks.push(day);
  }
}
