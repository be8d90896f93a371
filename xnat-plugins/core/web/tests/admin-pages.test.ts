import { beforeEach, describe, expect, it } from "vitest";
import { Administration, loadWho } from "../src/admin/frame";
import { el } from "../src/ui/dom";
import { HOSTILE, Peer, tableOf } from "./peer";

/** A site on which every text is hostile. */
function site(admin = true): Peer {
  const wrapper = { id: 7, name: HOSTILE, label: HOSTILE, contexts: [HOSTILE], site: true, projects: ["BTS"] };
  const command = {
    id: 3,
    name: HOSTILE,
    version: HOSTILE,
    image: HOSTILE,
    "image-present": false,
    wrappers: [wrapper],
  };
  const started = { id: 5, name: HOSTILE, active: true, wrapper: HOSTILE, enabled: false };
  const project = {
    id: "BTS",
    name: HOSTILE,
    description: HOSTILE,
    accessibility: "private",
    "prearchive-code": 4,
    counts: { sessions: 2, runs: 1 },
    users: [{ login: HOSTILE, role: "owner" }],
    study: { title: HOSTILE, version: HOSTILE, mode: HOSTILE, fault: "" },
    subscriptions: [started],
  };
  const filter = { "event-type": HOSTILE, status: HOSTILE, "project-ids": ["BTS"], "payload-filter": HOSTILE };
  const delivery = {
    id: 1,
    event: HOSTILE,
    at: HOSTILE,
    payload: { label: HOSTILE, [HOSTILE]: HOSTILE },
    steps: [{ status: HOSTILE, message: HOSTILE, timestamp: 1 }],
    runs: [{ id: 9, status: HOSTILE }],
  };
  const object = {
    id: 4,
    state: "refused",
    reason: HOSTILE,
    source: HOSTILE,
    study: HOSTILE,
    object: HOSTILE,
    label: HOSTILE,
    class: HOSTILE,
    header: { SeriesDescription: HOSTILE, [HOSTILE]: [HOSTILE] },
    kept: true,
  };
  const receiver = { id: 1, aeTitle: HOSTILE, port: 1, senders: [{ sender: HOSTILE, objects: 1, refused: 1 }] };
  const account = {
    username: HOSTILE,
    firstName: HOSTILE,
    email: HOSTILE,
    enabled: true,
    roles: [HOSTILE],
    projects: [],
  };
  const page = (...rows: object[]): object => ({ rows, total: rows.length, page: 1, size: 50, "events-enabled": true });
  return new Peer()
    .on("GET /xapi/users/username", "ann")
    .on("GET /xapi/users/current", { username: "ann", admin })
    .on("GET /xapi/access/projects", [{ ID: "BTS", role: "Owners" }])
    .on("GET /xapi/overread/projects", page(project))
    .on("GET /xapi/overread/commands", page(command))
    .on("GET /xapi/commands/3", { name: HOSTILE, xnat: [{ id: 7, name: HOSTILE }], mounts: [], label: null })
    .on("GET /xapi/overread/subscriptions", page({ id: 5, name: HOSTILE, active: true, "event-filter": filter }))
    .on("GET /xapi/overread/deliveries", page(delivery))
    .on("GET /xapi/overread/objects", page(object))
    .on("GET /xapi/overread/refused/4", object)
    .on("GET /xapi/overread/associations", page({ reason: HOSTILE, called: HOSTILE, calling: HOSTILE, times: 2 }))
    .on("GET /xapi/overread/receivers", page(receiver))
    .on("GET /xapi/overread/users", { ...page(account), "site-roles": [HOSTILE] })
    .on("GET /xapi/overread/storage", {
      home: HOSTILE,
      projects: [{ project: HOSTILE }],
      backups: [{ folder: HOSTILE, created: HOSTILE }],
    })
    .on("GET /xapi/overread/health", { version: HOSTILE, checks: [{ name: HOSTILE, ok: false, words: HOSTILE }] })
    .on("GET /xapi/overread/audit", {
      ...page({ time: HOSTILE, user: HOSTILE, action: HOSTILE, item: HOSTILE, detail: HOSTILE, route: HOSTILE }),
      actions: [HOSTILE],
      outcomes: ["refused"],
    })
    .on("GET /data/prearchive/projects/BTS/T/S", tableOf({ status: "CONFLICT", subject: HOSTILE, tag: "1.2" }))
    .on("GET /data/prearchive/projects/BTS/T/S/scans", tableOf({ ID: HOSTILE, series_description: HOSTILE }))
    .on("GET /data/prearchive/projects/BTS/T/S/logs", tableOf({ date: HOSTILE, entry: HOSTILE }));
}

async function open(peer: Peer, hash: string): Promise<HTMLElement> {
  window.location.hash = hash;
  const root = el("div");
  document.body.append(root);
  new Administration(root, peer.client, await loadWho(peer.client)).start();
  await settled();
  return root;
}

async function settled(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setTimeout(resolve));
}

function button(root: ParentNode, label: string): HTMLButtonElement {
  const found = [...root.querySelectorAll("button")].find((each) => each.textContent === label);
  if (found === undefined) throw new Error(`no button ${label} in ${root.textContent}`);
  return found;
}

beforeEach(() => document.body.replaceChildren());

describe("every page", () => {
  const hashes = [
    "#/sessions/BTS/T/S",
    "#/projects",
    "#/projects/BTS",
    "#/commands",
    "#/commands/3",
    "#/commands/new?from=3",
    "#/subscriptions",
    "#/subscriptions/5",
    "#/objects",
    "#/objects/4",
    "#/associations",
    "#/receivers",
    "#/users",
    "#/users/ann",
    "#/storage",
    "#/audit?user=ann&from=2026-05-04",
  ];
  it.each(hashes)("%s shows texts as texts", async (hash) => {
    const root = await open(site(), hash);
    expect(root.querySelector(".status.failed[role=alert]")?.textContent).toBeUndefined();
    expect(root.querySelector("img, script")).toBeNull();
    const shown = [...root.querySelectorAll("textarea")].map((area) => area.value).join("") + root.textContent;
    expect(shown.replaceAll('\\"', '"')).toContain(HOSTILE);
  });

  it("of a list asks for what was filled in, and offers the same as a file", async () => {
    const peer = site();
    const root = await open(peer, "#/audit?user=ann&outcome=refused&from=2026-05-04");
    const asked = peer.calls.filter((call) => call.path === "/xapi/overread/audit").at(-1);
    const wanted = { page: "1", size: "50", user: "ann", outcome: "refused", from: "2026-05-04" };
    expect(Object.fromEntries(asked?.query ?? [])).toEqual(wanted);
    const file = root.querySelector("a[download]")?.getAttribute("href");
    expect(file).toBe("/xapi/overread/audit?format=csv&outcome=refused&user=ann&from=2026-05-04");
    const field = root.querySelector<HTMLInputElement>("input[name=user]");
    if (field === null) throw new Error("no field");
    field.value = "bob";
    button(root, "Show").click();
    await settled();
    expect(window.location.hash).toBe("#/audit?outcome=refused&user=bob&from=2026-05-04");
  });

  it("is named for administrators, and for owners where it is of their projects", async () => {
    const names = (root: HTMLElement): string[] => [...root.querySelectorAll(".menu a")].map((a) => a.textContent);
    const owners = ["Sessions", "Runs", "Projects", "Commands", "Subscriptions", "Objects", "Audit"];
    expect(names(await open(site(false), "#/projects"))).toEqual(owners);
    expect(names(await open(site(true), "#/projects"))).toEqual(
      expect.arrayContaining([...owners, "Receivers", "Users"]),
    );
  });

  it("that is the administrators' does not open for owners", async () => {
    const peer = site(false);
    await open(peer, "#/users");
    expect(peer.calls.map((call) => call.path)).not.toContain("/xapi/overread/users");
  });
});

describe("a command", () => {
  const FAULT = {
    line: 2,
    path: "$.outputs[0].mount",
    rule: "output-mount",
    severity: "error",
    message: "there is no mount 'uot'",
    why: "Nothing is found.",
    mend: "use 'out'",
  };
  const peerOf = (findings: object[], replaces: number | null = null): Peer =>
    site()
      .on("POST /xapi/overread/commands/lint", { findings, name: "x", image: "i", replaces })
      .on("POST /xapi/commands", () => new Response("12", { status: 201 }))
      .on("POST /xapi/commands/3", "");

  async function typed(peer: Peer, text: string): Promise<HTMLElement> {
    const root = await open(peer, "#/commands/new");
    const area = root.querySelector("textarea");
    if (area === null) throw new Error("no text area");
    area.value = text;
    area.dispatchEvent(new Event("input"));
    button(root, "Check").click();
    await settled();
    return root;
  }

  it("with a fault is not stored: line, place, rule and mend are told", async () => {
    const peer = peerOf([FAULT]);
    const root = await typed(peer, '{\n"a": 1}');
    const cells = [...root.querySelectorAll("#findings tbody tr > *")].map((cell) => cell.textContent);
    expect(cells).toEqual(["2", FAULT.path, FAULT.message + FAULT.why, FAULT.mend, `error${FAULT.rule}`]);
    expect(button(root, "Store").disabled).toBe(true);
    button(root, "2").click();
    const area = root.querySelector("textarea");
    expect([area?.selectionStart, area?.selectionEnd]).toEqual([2, 9]);
    expect(peer.calls.some((call) => call.path === "/xapi/commands")).toBe(false);
  });

  it("in order is stored as it was checked, and what is typed afterwards is not", async () => {
    const peer = peerOf([{ ...FAULT, severity: "warning" }]); // a warning does not stand against it
    const root = await typed(peer, '{"name": "x"}');
    const area = root.querySelector("textarea");
    if (area === null) throw new Error("no text area");
    expect(button(root, "Store").disabled).toBe(false);
    area.value = '{"name": "y"}';
    area.dispatchEvent(new Event("input"));
    expect(button(root, "Store").disabled).toBe(true);
    area.value = '{"name": "x"}';
    area.dispatchEvent(new Event("input"));
    button(root, "Store").click();
    await settled();
    expect(peer.calls.find((call) => call.path === "/xapi/commands")?.body).toEqual({ name: "x" });
    expect(window.location.hash).toBe("#/commands/12");
  });

  it("of the same name and version is replaced", async () => {
    const peer = peerOf([], 3);
    const root = await typed(peer, '{"name": "x"}');
    button(root, "Replace").click();
    await settled();
    expect(peer.calls.find((call) => call.method === "POST" && call.path === "/xapi/commands/3")?.body).toEqual({
      name: "x",
    });
  });
});

describe("a failed run", () => {
  const run = { id: 8, status: "Failed", reason: "no FLAIR", again: null, parent: null, document: {}, stages: [] };
  const peerOf = (more: object): Peer =>
    site()
      .on("GET /xapi/overread/runs/8", { ...run, ...more })
      .on("GET /xapi/overread/runs/8/log/stdout", { text: "line\n", next: 5, size: 5, finished: true })
      .on("POST /xapi/overread/runs/8/rerun", { id: 9, "rerun-of": 8, created: true });

  it("is run again, once, and leads to the new one", async () => {
    const peer = peerOf({});
    const root = await open(peer, "#/runs/8");
    expect(root.querySelector("pre.log")?.textContent).toBe("line\n");
    button(root, "Run again").click();
    await settled();
    expect(peer.calls.filter((call) => call.path === "/xapi/overread/runs/8/rerun")).toHaveLength(1);
    expect(window.location.hash).toBe("#/runs/9");
  });

  it("that was done again leads there instead", async () => {
    const root = await open(peerOf({ again: 9 }), "#/runs/8");
    expect(root.querySelector('a[href="#/runs/9"]')).not.toBeNull();
    expect(() => button(root, "Run again")).toThrow();
  });
});
