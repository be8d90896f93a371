/** Accounts: who can log in, and what they may do. */

import { ROLE_CHOICES } from "./project";
import { confirmed, filledIn } from "../kit/dialog";
import { Form } from "../kit/form";
import {
  actionButton,
  el,
  facts,
  heading,
  section,
  show,
  Status,
  type Child,
  type Context,
  type Page,
} from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, type Column, link, List, table } from "../kit/table";
import { moment } from "../kit/words";
import { path } from "../../xnat/client";
import { Rec } from "../../xnat/records";

const COLUMNS: readonly Column<Rec>[] = [
  { title: "User", cell: (row) => link(row.text("username"), hrefTo(["users", row.text("username")])) },
  { title: "Name", cell: (row) => `${row.text("firstName")} ${row.text("lastName")}`.trim() },
  { title: "E-mail", cell: (row) => row.text("email") },
  { title: "State", cell: (row) => (row.flag("enabled") ? badge("enabled") : badge("disabled", "bad")) },
  { title: "Site roles", cell: (row) => row.texts("roles").join(", ") },
  { title: "Projects", kind: "wide", cell: projectRoles },
];

export const users: Page = {
  title: "Users",
  async render(context: Context): Promise<void> {
    const status = new Status();
    const list = new List(context, {
      path: "/xapi/overread/users",
      at: ["users"],
      label: "Users",
      search: "Login, name or e-mail",
      filters: [
        {
          name: "state",
          label: "State",
          options: [
            ["", "All"],
            ["enabled", "Enabled"],
            ["disabled", "Disabled"],
          ],
        },
      ],
      columns: COLUMNS,
      empty: "No user fits.",
    });
    const add = actionButton("New user\u2026", () => make(context), status);
    show(context.root, heading("Users", add), status.element, list.element);
    await list.start();
  },
};

function projectRoles(row: Rec): Child[] {
  return row.recs("projects").map((one) => el("div", {}, `${one.text("project")}: ${one.text("role")}`));
}

async function make(context: Context): Promise<string | null> {
  let login = "";
  const said = await filledIn(context, {
    title: "New user",
    fields: [
      { name: "username", label: "Login", required: true, hint: "Letters, digits, . _ @ and -. It can't be changed." },
      { name: "password", label: "Password", kind: "password", required: true },
      { name: "firstName", label: "First name" },
      { name: "lastName", label: "Last name" },
      { name: "email", label: "E-mail", kind: "email" },
    ],
    action: "Make",
    submit: async (values) => {
      login = (values["username"] ?? "").trim();
      await context.xnat.change("POST", "/xapi/users", {
        json: { ...values, username: login, enabled: true, verified: true },
      });
      return "Made.";
    },
  });
  if (said !== null) context.go(hrefTo(["users", login]));
  return said;
}

export const user: Page = {
  title: "User",
  async render(context: Context): Promise<void> {
    const login = context.route.parts[1] ?? "";
    const answer = new Rec(await context.xnat.json("/xapi/overread/users", { login }));
    const found = answer.recs("rows")[0];
    if (found === undefined) throw new Error(`There is no user ${login}.`);
    const status = new Status();
    show(
      context.root,
      heading(login, ...actions(context, found, status)),
      status.element,
      el(
        "div",
        { class: "columns" },
        section(
          "Account",
          facts([
            ["State", found.flag("enabled") ? badge("enabled") : badge("disabled", "bad")],
            ["Made", moment(found.text("created"))],
          ]),
          profile(context, found),
        ),
        section("Site roles", ...siteRoles(context, found, answer.texts("site-roles"), status)),
        memberships(context, found, status),
      ),
    );
  },
};

function actions(context: Context, found: Rec, status: Status): HTMLButtonElement[] {
  const login = found.text("username");
  const place = path("xapi", "users", login);
  const on = found.flag("enabled");
  return [
    actionButton(
      "New password\u2026",
      () =>
        filledIn(context, {
          title: `New password for ${login}`,
          text: "Whoever is logged in by this name is logged out.",
          fields: [{ name: "password", label: "Password", kind: "password", required: true }],
          action: "Set",
          submit: async ({ password = "" }) => {
            await context.xnat.change("PUT", place, { json: { password } });
            return "The password is set.";
          },
        }),
      status,
    ),
    actionButton(
      on ? "Disable" : "Enable",
      async () => {
        const sure =
          !on ||
          (await confirmed({
            title: `Disable ${login}?`,
            text: "The account is logged out and can't log in. What it has made stays.",
            action: "Disable",
          }));
        if (!sure) return null;
        await context.xnat.change("PUT", path("xapi", "users", login, "enabled", String(!on)));
        context.go(window.location.hash);
        return "Done.";
      },
      status,
      on ? { class: "danger" } : {},
    ),
  ];
}

function profile(context: Context, found: Rec): HTMLElement {
  const fields = ["firstName", "lastName", "email"] as const;
  const labels = { firstName: "First name", lastName: "Last name", email: "E-mail" };
  return new Form(context, {
    fields: fields.map((name) => ({
      name,
      label: labels[name],
      value: found.text(name),
      kind: name === "email" ? ("email" as const) : ("text" as const),
    })),
    action: "Save",
    submit: async (values) => {
      await context.xnat.change("PUT", path("xapi", "users", found.text("username")), { json: values });
      return "Saved.";
    },
  }).element;
}

function siteRoles(context: Context, found: Rec, all: readonly string[], status: Status): HTMLElement[] {
  const login = found.text("username");
  const has = new Set(found.texts("roles"));
  return all.map((role) => {
    const box = el("input", { type: "checkbox", checked: has.has(role) });
    box.addEventListener("change", () => {
      status.pending("Working\u2026");
      box.disabled = true;
      context.xnat
        .change(box.checked ? "PUT" : "DELETE", path("xapi", "users", login, "roles", role))
        .then(() => status.done(box.checked ? `${login} is ${role} now.` : `${login} is no ${role} any more.`))
        .catch((error: unknown) => {
          box.checked = !box.checked;
          status.failed(error);
        })
        .finally(() => {
          box.disabled = false;
        });
    });
    return el("label", { class: "field check" }, box, el("span", {}, role));
  });
}

function memberships(context: Context, found: Rec, status: Status): HTMLElement {
  const login = found.text("username");
  const place = (project: string, role: string): string =>
    path("data", "projects", project, "users", `${project}_${role}`, login);
  const add = new Form(context, {
    fields: [
      {
        name: "project",
        label: "Project",
        kind: "choice",
        options: context.who.projects.map((name): [string, string] => [name, name]),
      },
      { name: "role", label: "Role", kind: "choice", value: "member", options: ROLE_CHOICES },
    ],
    action: "Give the role",
    submit: async ({ project = "", role = "" }) => {
      await context.xnat.change("PUT", place(project, role));
      context.go(window.location.hash);
      return "Done.";
    },
  });
  add.element.classList.add("inline");
  return section(
    "Projects",
    table(
      [
        { title: "Project", cell: (row: Rec) => link(row.text("project"), hrefTo(["projects", row.text("project")])) },
        { title: "Role", cell: (row: Rec) => row.text("role") },
        {
          title: "",
          kind: "actions",
          cell: (row: Rec) =>
            actionButton(
              "Remove",
              async () => {
                await context.xnat.change("DELETE", place(row.text("project"), row.text("role")));
                context.go(window.location.hash);
                return "Removed.";
              },
              status,
            ),
        },
      ],
      found.recs("projects"),
      { empty: "No role in any project.", label: "Projects" },
    ),
    add.element,
  );
}
