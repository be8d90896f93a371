/**
 * How long a reader was at it: from the opening, and of that the time in which something was done.
 *
 * Between two signs of life counts only what is short enough to have been spent looking.
 */

const LOOKING_S = 30;

/** Ms of a clock that nobody sets: what the reader took must not depend on it. */
const now = (): number => performance.now();

/** Adds up the time between signs of life. */
export class Stopwatch {
  #last: number | null = null;
  #sumMs = 0;

  /** `idleS`: between two signs of life counts at most this. */
  constructor(private readonly idleS: number = LOOKING_S) {}

  /** A sign of life at this time, in ms. */
  tick(nowMs: number): void {
    if (this.#last !== null) this.#sumMs += Math.min(Math.max(nowMs - this.#last, 0), this.idleS * 1000);
    this.#last = nowMs;
  }

  get seconds(): number {
    return Math.round(this.#sumMs / 100) / 10;
  }
}

/** Stages of a reading, in seconds from its opening; `null` for what did not happen. */
export interface Times {
  readonly opened_at: string;
  readonly first_interaction_s: number | null;
  readonly active_s: number;
  readonly edit_s: number;
  /** The last mask that was saved. */
  readonly save_s: number | null;
  /** The first answer in the form. */
  readonly form_s: number | null;
  readonly submitted_s: number;
}

export class Clock {
  readonly startedAt = new Date().toISOString();
  readonly #opened = now();
  readonly #active: Stopwatch;
  readonly #edit: Stopwatch;
  #first: number | null = null;
  #saved: number | null = null;
  #form: number | null = null;

  constructor(idleS: number = LOOKING_S, page: Window = window) {
    this.#active = new Stopwatch(idleS);
    this.#edit = new Stopwatch(idleS);
    this.#active.tick(now());
    for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
      page.addEventListener(kind, () => this.active(), { passive: true });
    }
  }

  /** The reader did something. */
  active(): void {
    this.#first ??= this.#now;
    this.#active.tick(now());
  }

  /** The reader changed the mask. */
  edit(): void {
    this.active();
    this.#edit.tick(now());
  }

  /** The reader saved a mask. */
  saved(): void {
    this.#saved = this.#now;
  }

  /** The reader answered a question. */
  answering(): void {
    this.#form ??= this.#now;
  }

  get activeS(): number {
    return this.#active.seconds;
  }

  get editS(): number {
    return this.#edit.seconds;
  }

  /** All of it, at this moment. */
  get times(): Times {
    return {
      opened_at: this.startedAt,
      first_interaction_s: this.#first,
      active_s: this.activeS,
      edit_s: this.editS,
      save_s: this.#saved,
      form_s: this.#form,
      submitted_s: this.#now,
    };
  }

  get #now(): number {
    return Math.round((now() - this.#opened) / 100) / 10;
  }
}
