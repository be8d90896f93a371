/** The administration's frame: who is logged in, the way to each page, and the page itself. */

import { heading, lineOf, type Page, type Who } from "./kit/page";
import { hrefTo, readRoute, type Route } from "./kit/route";
import { audit } from "./pages/audit";
import { associations } from "./pages/associations";
import { command } from "./pages/command";
import { commands } from "./pages/commands";
import { objects, refused } from "./pages/objects";
import { project } from "./pages/project";
import { projects } from "./pages/projects";
import { receivers } from "./pages/receivers";
import { run } from "./pages/run";
import { runs } from "./pages/runs";
import { session } from "./pages/session";
import { sessions } from "./pages/sessions";
import { storage } from "./pages/storage";
import { subscription, subscriptions } from "./pages/subscriptions";
import { user, users } from "./pages/users";
import { el, show } from "../ui/dom";
import { loadLogin } from "../xnat/answers";
import { LoginNeeded, loginUrl, type XnatClient } from "../xnat/client";
import { isObject, asArray, Row } from "../xnat/tables";

interface Entry {
  /** First part of the address. */
  readonly at: string;
  readonly page: Page;
  /** The page of one object: the address has a second part. */
  readonly one?: Page;
  readonly adminOnly?: boolean;
}

const PAGES: readonly Entry[] = [
  { at: "sessions", page: sessions, one: session },
  { at: "runs", page: runs, one: run },
  { at: "projects", page: projects, one: project },
  { at: "commands", page: commands, one: command },
  { at: "subscriptions", page: subscriptions, one: subscription },
  { at: "objects", page: objects, one: refused },
  { at: "associations", page: associations, adminOnly: true },
  { at: "receivers", page: receivers, adminOnly: true },
  { at: "users", page: users, one: user, adminOnly: true },
  { at: "audit", page: audit },
  { at: "storage", page: storage, adminOnly: true },
];

/** Who is logged in, and what they may administer. */
export async function loadWho(xnat: XnatClient): Promise<Who> {
  const [login, projects, roles] = await Promise.all([
    loadLogin(xnat),
    xnat.json("/xapi/access/projects"),
    xnat.optionalJson("/xapi/users/current"),
  ]);
  const isAdmin = isObject(roles) && roles["admin"] === true;
  const owned = asArray(projects)
    .map((project) => new Row(project))
    .filter((project) => isAdmin || project.text("role") === "Owners")
    .map((project) => project.text("ID"));
  return { login, isAdmin, projects: owned };
}

export class Administration {
  readonly #nav = el("nav", { class: "menu", "aria-label": "Administration" });
  readonly #main = el("main", { class: "page", tabindex: -1 });
  #leaving = new AbortController();

  constructor(
    private readonly root: HTMLElement,
    private readonly xnat: XnatClient,
    private readonly who: Who,
  ) {}

  start(): void {
    if (!this.who.isAdmin && this.who.projects.length === 0) {
      show(
        this.root,
        el(
          "main",
          { class: "message" },
          el("h1", {}, "Nothing to administer"),
          el("p", {}, `${this.who.login} is no administrator and owns no project. Ask an administrator for a role.`),
        ),
      );
      return;
    }
    const skip = el("a", { href: "#content", class: "skip" }, "To the content");
    skip.addEventListener("click", (event) => {
      event.preventDefault();
      this.#main.focus();
    });
    show(
      this.root,
      skip,
      el(
        "div",
        { class: "frame" },
        el(
          "header",
          { class: "side" },
          el("a", { href: "/", class: "brand" }, "Overread"),
          this.#nav,
          el("p", { class: "who quiet" }, this.who.login, this.who.isAdmin ? " (administrator)" : " (owner)"),
        ),
        this.#main,
      ),
    );
    window.addEventListener("hashchange", () => void this.#open(true));
    void this.#open(false);
  }

  #entries(): readonly Entry[] {
    return PAGES.filter((entry) => this.who.isAdmin || entry.adminOnly !== true);
  }

  async #open(moved: boolean): Promise<void> {
    this.#leaving.abort();
    this.#leaving = new AbortController();
    const { signal } = this.#leaving;
    const route = readRoute(window.location.hash);
    const entry = this.#entries().find((each) => each.at === route.parts[0]) ?? this.#entries()[0];
    if (entry === undefined) return;
    const page = route.parts.length > 1 && entry.one !== undefined ? entry.one : entry.page;
    document.title = `${page.title} - Overread`;
    this.#showMenu(entry);
    const root = el("div");
    show(this.#main, root);
    if (moved) this.#main.scrollTop = 0;
    try {
      await page.render({ xnat: this.xnat, who: this.who, route, root, signal, go: (href) => this.#go(href, route) });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof LoginNeeded) {
        window.location.replace(loginUrl(window.location.pathname + window.location.hash));
        return;
      }
      show(root, heading(page.title), el("p", { class: "status failed", role: "alert" }, lineOf(error)));
    }
  }

  #go(href: string, from: Route): void {
    if (window.location.hash === href) void this.#open(false);
    else if (readRoute(href).parts.join("/") === from.parts.join("/")) {
      // The same page with other filters: the way back leads out of the page, not through every filter.
      window.history.replaceState(null, "", href);
      void this.#open(false);
    } else window.location.hash = href;
  }

  #showMenu(current: Entry): void {
    show(
      this.#nav,
      ...this.#entries().map((entry) =>
        el("a", { href: hrefTo([entry.at]), "aria-current": entry === current ? "page" : null }, entry.page.title),
      ),
    );
  }
}
