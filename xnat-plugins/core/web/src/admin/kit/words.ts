/** Moments, durations and sizes as people read them. */

/** `2026-03-02 08:10:21`, in the reader's own time zone; empty for none. */
export function moment(text: string | number | null): string {
  if (text === null || text === "") return "";
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return String(text);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `21.0 s`, `4 min 05 s`, `2 h 03 min`, `5 d 2 h`; empty for none. */
export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

/** Seconds from one moment to another; `null` if one is missing. */
export function secondsBetween(from: string, to: string): number | null {
  const seconds = (new Date(to).getTime() - new Date(from).getTime()) / 1000;
  return from === "" || to === "" || !Number.isFinite(seconds) ? null : seconds;
}

/** `0 B`, `12.3 kB`, `4.2 GB` (powers of 1000). */
export function bytes(size: number | null): string {
  if (size === null) return "";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = size;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${units[unit] ?? ""}`;
}

/** `1 run`, `2 runs`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
