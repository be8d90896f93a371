import { beforeEach, describe, expect, it } from "vitest";
import { Administration, loadWho } from "../src/admin/frame";
import { Form } from "../src/admin/kit/form";
import { hrefTo, readRoute } from "../src/admin/kit/route";
import { bytes, duration, moment, secondsBetween } from "../src/admin/kit/words";
import { el } from "../src/ui/dom";
import { XnatError } from "../src/xnat/client";
import { HOSTILE, Peer } from "./peer";

const NOBODY = new AbortController().signal;

function site(admin: boolean): Peer {
  return new Peer()
    .on("GET /xapi/users/username", "ann")
    .on("GET /xapi/users/current", { username: "ann", admin })
    .on("GET /xapi/access/projects", [
      { ID: "BTS", role: "Owners" },
      { ID: "CTP", role: "Members" },
    ]);
}

async function open(peer: Peer, hash: string): Promise<HTMLElement> {
  window.location.hash = hash;
  const root = el("div");
  document.body.append(root);
  new Administration(root, peer.client, await loadWho(peer.client)).start();
  await settled();
  return root;
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setTimeout(resolve));
}

beforeEach(() => document.body.replaceChildren());

describe("addresses", () => {
  it("come back as they went", () => {
    const route = readRoute(hrefTo(["projects", "A/B C"], { search: "1.2 &x=#", state: "" }));
    expect(route.parts).toEqual(["projects", "A/B C"]);
    expect([...route.query]).toEqual([["search", "1.2 &x=#"]]);
  });

  it("survive what nobody wrote", () => {
    expect(readRoute("#/runs/%E0%A4%A").parts).toEqual(["runs", "%E0%A4%A"]);
    expect(readRoute("").parts).toEqual([]);
  });
});

describe("words", () => {
  it("for sizes, durations and moments", () => {
    expect([0, 999, 1000, 12_345, 99_960_000, 4_200_000_000].map(bytes)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "12.3 kB",
      "100 MB",
      "4.2 GB",
    ]);
    expect([0.25, 59.94, 65, 7380, 180_000].map(duration)).toEqual([
      "0.3 s",
      "59.9 s",
      "1 min 05 s",
      "2 h 03 min",
      "2 d 2 h",
    ]);
    expect(duration(null)).toBe("");
    expect(moment("")).toBe("");
    expect(moment("2026-03-02T08:10:21.900Z")).toMatch(/^2026-03-0[123] \d\d:\d\d:21$/);
    expect(secondsBetween("2026-03-02T08:10:00.000Z", "2026-03-02T08:10:01.500Z")).toBe(1.5);
    expect(secondsBetween("", "2026-03-02T08:10:01.500Z")).toBeNull();
  });
});

describe("who may administer", () => {
  it("owners see their projects, administrators all", async () => {
    expect((await loadWho(site(false).client)).projects).toEqual(["BTS"]);
    expect((await loadWho(site(true).client)).projects).toEqual(["BTS", "CTP"]);
  });

  it("who owns nothing is told so", async () => {
    const peer = site(false).on("GET /xapi/access/projects", [{ ID: "CTP", role: "Members" }]);
    expect((await open(peer, "#/runs")).textContent).toContain("Nothing to administer");
  });
});

describe("a list", () => {
  const row = { id: 7, status: "Failed", reason: HOSTILE, project: HOSTILE, label: HOSTILE, wrapper: HOSTILE };
  const runs = (): Peer =>
    site(true)
      .on("GET /xapi/overread/queue", { slots: 2, running: 1, queued: 3, backend: "process" })
      .on("GET /xapi/overread/runs", { rows: [row], total: 120, page: 2, size: 50 });

  it("asks for what the address says, and shows texts as texts", async () => {
    const peer = runs();
    const root = await open(peer, "#/runs?page=2&state=failed&search=EX");
    const asked = peer.calls.find((call) => call.path === "/xapi/overread/runs");
    expect(Object.fromEntries(asked?.query ?? [])).toEqual({ page: "2", size: "50", state: "failed", search: "EX" });
    expect(root.querySelector("img, script")).toBeNull();
    expect(root.textContent).toContain(HOSTILE);
    expect(root.querySelector("#queue")?.textContent).toBe("1 of 2 slots in use, 3 waiting; runner: process.");
    expect([...root.querySelectorAll(".pager a")].map((link) => link.getAttribute("href"))).toEqual([
      "#/runs?search=EX&state=failed",
      "#/runs?search=EX&state=failed",
      "#/runs?search=EX&state=failed&page=3",
      "#/runs?search=EX&state=failed&page=3",
    ]);
  });

  it("tells the server's own line when it is refused", async () => {
    const peer = runs().on("GET /xapi/overread/runs", () => new Response("page must be a number", { status: 400 }));
    expect((await open(peer, "#/runs?page=2")).querySelector(".status.failed")?.textContent).toBe(
      "page must be a number",
    );
  });
});

describe("the server's line", () => {
  it.each([
    ["a text", "Name the project.", "Name the project."],
    [
      "a status page",
      "<html><body><h3>No &lt;such&gt; thing &amp; more</h3><p>x</p></body></html>",
      "No <such> thing & more",
    ],
    ["a document", JSON.stringify({ status: "failure", message: "not enabled" }), "not enabled"],
    ["a page without one", "<html><body>Oops</body></html>", ""],
  ])("is found in %s", async (_, body, line) => {
    const peer = new Peer().on("POST /xapi/x", () => new Response(body, { status: 409 }));
    const error = await peer.client.change("POST", "/xapi/x").catch((reason: unknown) => reason);
    expect((error as XnatError).said).toBe(line);
  });
});

describe("a form", () => {
  it("keeps what was typed when it is refused, and says why", async () => {
    const form = new Form(
      { signal: NOBODY },
      {
        fields: [
          { name: "id", label: "ID" },
          { name: "on", label: "On", kind: "check", value: "true" },
        ],
        action: "Save",
        submit: () => Promise.reject(new XnatError(409, "/x", "refused", "There is one already.")),
      },
    );
    document.body.append(form.element);
    const field = form.control("id") as HTMLInputElement;
    field.value = "typed";
    form.element.dispatchEvent(new Event("submit", { cancelable: true }));
    await settled();
    expect(form.status.element.textContent).toBe("There is one already.");
    expect(form.values()).toEqual({ id: "typed", on: "true" });
    expect(form.element.querySelector("button")?.disabled).toBe(false);
  });
});
