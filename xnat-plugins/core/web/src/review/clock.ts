/**
 * How long a reader was at it: from the opening, and of that the time in which something was done.
 *
 * Between two signs of life counts only what is short enough to have been spent looking.
 */

const LOOKING_MS = 30_000;

/** Adds up the time between signs of life. */
export class Stopwatch {
  #last: number | null = null;
  #sumMs = 0;

  /** A sign of life at this time, in ms. */
  tick(nowMs: number): void {
    if (this.#last !== null) this.#sumMs += Math.min(Math.max(nowMs - this.#last, 0), LOOKING_MS);
    this.#last = nowMs;
  }

  get seconds(): number {
    return Math.round(this.#sumMs / 100) / 10;
  }
}

export class Clock {
  readonly startedAt = new Date().toISOString();
  readonly #active = new Stopwatch();
  readonly #edit = new Stopwatch();

  constructor(page: Window = window) {
    this.#active.tick(Date.now());
    for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
      page.addEventListener(kind, () => this.active(), { passive: true });
    }
  }

  /** The reader did something. */
  active(): void {
    this.#active.tick(Date.now());
  }

  /** The reader changed the mask. */
  edit(): void {
    this.active();
    this.#edit.tick(Date.now());
  }

  get activeS(): number {
    return this.#active.seconds;
  }

  get editS(): number {
    return this.#edit.seconds;
  }
}
