/** One project: settings, members, what may run in it, and what starts by itself. */

import { automation, study } from "./projects";
import { confirmed } from "../kit/dialog";
import { Form } from "../kit/form";
import { actionButton, el, facts, heading, section, show, Status, type Context, type Page } from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, link, table } from "../kit/table";
import { path } from "../../xnat/client";
import { Rec } from "../../xnat/records";

const ROLES = ["owner", "member", "collaborator"] as const;
export const ROLE_CHOICES = [
  ["owner", "Owner: deletes, settings, users"],
  ["member", "Member: adds and changes"],
  ["collaborator", "Collaborator: reads"],
] as const;

interface Wrapper {
  readonly id: string;
  readonly name: string;
  readonly command: string;
  readonly site: boolean;
  readonly here: boolean;
}

export const project: Page = {
  title: "Project",
  async render(context: Context): Promise<void> {
    const id = context.route.parts[1] ?? "";
    const [answer, commands] = await Promise.all([
      context.xnat.json("/xapi/overread/projects", { project: id }),
      context.xnat.json("/xapi/overread/commands"),
    ]);
    const found = new Rec(answer).recs("rows")[0];
    if (found === undefined) throw new Error(`There is no project ${id}.`);
    const status = new Status();
    const again = (): void => context.go(window.location.hash);
    show(
      context.root,
      heading(id, ...["sessions", "runs", "objects"].map((page) => listLink(page, id))),
      status.element,
      el(
        "div",
        { class: "columns" },
        section(
          "About",
          facts([
            ["Name", found.text("name")],
            ["Description", found.text("description")],
            ["Study", el("div", {}, ...study(found))],
            ["Automation", el("div", {}, ...automation(found))],
            ["Subjects", String(found.rec("counts").number("subjects") ?? 0)],
            ["Sessions", String(found.rec("counts").number("sessions") ?? 0)],
            ["Results", String(found.rec("counts").number("results") ?? 0)],
          ]),
        ),
        settings(context, found, again),
        members(context, found, status, again),
        started(context, found, status, again),
      ),
      wrappers(context, id, wrappersOf(new Rec(commands), id), status, again),
    );
  },
};

function listLink(page: string, id: string): HTMLElement {
  return el("a", { class: "button", href: hrefTo([page], { project: id }) }, page[0]?.toUpperCase() + page.slice(1));
}

function settings(context: Context, found: Rec, again: () => void): HTMLElement {
  const id = found.text("id");
  const form = new Form(context, {
    fields: [
      {
        name: "accessibility",
        label: "Access",
        kind: "choice",
        value: found.text("accessibility"),
        options: [
          ["private", "Private: its users"],
          ["protected", "Protected: others see that it exists"],
          ["public", "Public: everybody who is logged in reads"],
        ],
      },
      {
        name: "code",
        label: "What arrives is",
        kind: "choice",
        value: found.text("prearchive-code"),
        options: [
          ["0", "kept in the prearchive until somebody archives it"],
          ["4", "archived by itself"],
          ["5", "archived by itself, replacing objects of the same UID"],
        ],
      },
    ],
    action: "Save",
    submit: async ({ accessibility = "", code = "" }) => {
      if (accessibility !== found.text("accessibility")) {
        await context.xnat.change("PUT", path("data", "projects", id, "accessibility", accessibility));
      }
      if (code !== found.text("prearchive-code")) {
        await context.xnat.change("PUT", path("data", "projects", id, "prearchive_code", code));
      }
      again();
      return "Saved.";
    },
  });
  return section("Settings", form.element);
}

function members(context: Context, found: Rec, status: Status, again: () => void): HTMLElement {
  const id = found.text("id");
  const place = (login: string, role: string): string => path("data", "projects", id, "users", `${id}_${role}`, login);
  const add = new Form(context, {
    fields: [
      { name: "login", label: "User", required: true },
      { name: "role", label: "Role", kind: "choice", value: "member", options: ROLE_CHOICES },
    ],
    action: "Add",
    submit: async ({ login = "", role = "member" }) => {
      await context.xnat.change("PUT", place(login.trim(), role));
      again();
      return "Added.";
    },
  });
  add.element.classList.add("inline");
  const role = (user: Rec): HTMLElement => {
    const login = user.text("login");
    const choice = el(
      "select",
      { "aria-label": `Role of ${login}` },
      ...ROLES.map((name) => el("option", { value: name, selected: user.text("role") === name }, name)),
    );
    choice.addEventListener("change", () => {
      status.pending("Working\u2026");
      context.xnat
        .change("PUT", place(login, choice.value))
        .then(() => status.done(`${login} is ${choice.value} now.`))
        .catch((error: unknown) => {
          choice.value = user.text("role");
          status.failed(error);
        });
    });
    return choice;
  };
  return section(
    "Users",
    table(
      [
        {
          title: "User",
          cell: (user: Rec) =>
            context.who.isAdmin ? link(user.text("login"), hrefTo(["users", user.text("login")])) : user.text("login"),
        },
        { title: "Role", cell: role },
        {
          title: "",
          kind: "actions",
          cell: (user: Rec) =>
            actionButton(
              "Remove",
              async () => {
                const login = user.text("login");
                const sure = await confirmed({
                  title: `Remove ${login} from ${id}?`,
                  text: "The account stays; it loses its role in this project.",
                  action: "Remove",
                });
                if (!sure) return null;
                await context.xnat.change("DELETE", place(login, user.text("role")));
                again();
                return "Removed.";
              },
              status,
            ),
        },
      ],
      found.recs("users"),
      { empty: "Nobody has a role in it.", label: "Users" },
    ),
    add.element,
  );
}

function started(context: Context, found: Rec, status: Status, again: () => void): HTMLElement {
  const id = found.text("id");
  return section(
    "What starts by itself",
    table(
      [
        {
          title: "Subscription",
          kind: "wide",
          cell: (one: Rec) => link(one.text("name"), hrefTo(["subscriptions", one.text("id")])),
        },
        {
          title: "Starts",
          cell: (one: Rec) => [
            one.text("wrapper"),
            one.flag("enabled") ? null : el("div", {}, badge("not enabled", "bad")),
          ],
        },
        { title: "State", cell: (one: Rec) => (one.flag("active") ? badge("on", "good") : badge("off")) },
        {
          title: "",
          kind: "actions",
          cell: (one: Rec) =>
            actionButton(
              one.flag("active") ? "Switch off" : "Switch on",
              async () => {
                await switchSubscription(context, one.text("id"), !one.flag("active"), id);
                again();
                return "Done.";
              },
              status,
            ),
        },
      ],
      found.recs("subscriptions"),
      { empty: "Nothing: no subscription is about this project.", label: "Subscriptions" },
    ),
  );
}

/** Let a subscription work or rest: as administrator, or as owner of the one project that it is about. */
export async function switchSubscription(context: Context, id: string, on: boolean, project: string): Promise<void> {
  const verb = on ? "activate" : "deactivate";
  const base = context.who.isAdmin ? ["xapi", "events"] : ["xapi", "projects", project, "events"];
  await context.xnat.change("POST", path(...base, "subscription", id, verb));
}

function wrappersOf(commands: Rec, id: string): Wrapper[] {
  return commands.recs("rows").flatMap((command) =>
    command.recs("wrappers").map((wrapper) => ({
      id: wrapper.text("id"),
      name: wrapper.text("label", "name"),
      command: `${command.text("name")} ${command.text("version")}`.trim(),
      site: wrapper.flag("site"),
      here: wrapper.texts("projects").includes(id),
    })),
  );
}

function wrappers(
  context: Context,
  id: string,
  rows: readonly Wrapper[],
  status: Status,
  again: () => void,
): HTMLElement {
  return section(
    "What may run in it",
    table(
      [
        { title: "Wrapper", cell: (row: Wrapper) => row.name },
        { title: "Command", cell: (row: Wrapper) => row.command },
        { title: "On the site", cell: (row: Wrapper) => (row.site ? badge("enabled") : badge("off")) },
        { title: "Here", cell: (row: Wrapper) => (row.here ? badge("enabled") : badge("off")) },
        {
          title: "",
          kind: "actions",
          cell: (row: Wrapper) =>
            actionButton(
              row.here ? "Disable" : "Enable",
              async () => {
                const verb = row.here ? "disabled" : "enabled";
                await context.xnat.change("PUT", path("xapi", "projects", id, "wrappers", row.id, verb));
                again();
                return "Done.";
              },
              status,
            ),
        },
      ],
      rows,
      { empty: "No command is stored yet.", label: "Wrappers" },
    ),
  );
}
