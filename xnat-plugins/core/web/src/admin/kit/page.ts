/** What every page gets, and the frame that it fills. */

import { el, show, type Child } from "../../ui/dom";
import { LoginNeeded, type XnatClient, XnatError } from "../../xnat/client";
import type { Route } from "./route";

/** Who is logged in. */
export interface Who {
  readonly login: string;
  readonly isAdmin: boolean;
  /** Projects that the user owns; for administrators all. */
  readonly projects: readonly string[];
}

export interface Context {
  readonly xnat: XnatClient;
  readonly who: Who;
  readonly route: Route;
  /** Where the page puts what it shows. */
  readonly root: HTMLElement;
  /** Aborted when the reader leaves the page. */
  readonly signal: AbortSignal;
  /** Go to another address within the administration. */
  readonly go: (href: string) => void;
}

export interface Page {
  readonly title: string;
  readonly render: (context: Context) => Promise<void>;
}

/** The one line that says what went wrong: the server's own where it gave one. */
export function lineOf(error: unknown): string {
  if (error instanceof LoginNeeded) return "Your login has run out. Log in again in another tab, then repeat this.";
  if (error instanceof XnatError && error.said !== "") return error.said;
  return error instanceof Error ? error.message : String(error);
}

/** A page's heading with its actions at the right. */
export function heading(title: string, ...actions: Child[]): HTMLElement {
  return el("div", { class: "heading" }, el("h1", {}, title), el("div", { class: "actions" }, ...actions));
}

/** A titled part of a page. */
export function section(title: string, ...children: Child[]): HTMLElement {
  return el("section", { class: "panel" }, el("h2", {}, title), ...children);
}

/** Names and values; empty values are left out. */
export function facts(values: readonly (readonly [string, Child])[]): HTMLElement {
  const list = el("dl", { class: "pairs" });
  for (const [name, value] of values) {
    if (value === null || value === "") continue;
    list.append(el("dt", {}, name), el("dd", {}, value));
  }
  return list;
}

/** A line that says how an action went; read out by screen readers. */
export class Status {
  readonly element = el("p", { class: "status", role: "status" });

  pending(text: string): void {
    this.#say("pending", text);
  }

  done(text: string): void {
    this.#say("done", text);
  }

  failed(error: unknown): void {
    this.#say("failed", lineOf(error));
  }

  clear(): void {
    this.#say("", "");
  }

  #say(tone: string, text: string): void {
    this.element.className = `status ${tone}`.trim();
    this.element.textContent = text;
  }
}

/** A button whose action is carried out once at a time and whose failure is told in `status`. */
export function actionButton(
  label: string,
  action: () => Promise<string | null>,
  status: Status,
  attributes: Record<string, string | boolean> = {},
): HTMLButtonElement {
  const button = el("button", { type: "button", ...attributes }, label);
  button.addEventListener("click", () => void run(button, action, status));
  return button;
}

/** Carry out an action: the control rests meanwhile; what it returns is told (`null`: it was called off). */
export async function run(
  control: HTMLButtonElement,
  action: () => Promise<string | null>,
  status: Status,
): Promise<void> {
  control.disabled = true;
  status.pending("Working\u2026");
  try {
    const said = await action();
    if (said === null) status.clear();
    else status.done(said);
  } catch (error) {
    status.failed(error);
  } finally {
    control.disabled = false;
  }
}

/** Ask `work` now and then every `everyMs` while the page is open and seen. Failures are told, and it goes on. */
export async function keepFresh(
  signal: AbortSignal,
  everyMs: number,
  work: () => Promise<void>,
  status: Status,
): Promise<void> {
  let failing = false;
  const once = async (): Promise<void> => {
    try {
      await work();
      if (failing) status.clear();
      failing = false;
    } catch (error) {
      if (signal.aborted) return;
      failing = true;
      status.failed(error);
    }
  };
  await once();
  const timer = setInterval(() => {
    if (!document.hidden) void once();
  }, everyMs);
  if (signal.aborted) clearInterval(timer);
  signal.addEventListener("abort", () => clearInterval(timer));
}

export { el, show };
export type { Child };
