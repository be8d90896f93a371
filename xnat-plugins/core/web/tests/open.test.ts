import { beforeEach, describe, expect, it } from "vitest";
import { forgetRequest, takeRequest } from "../src/open/memory";
import { keyProblem, readRequest, resolve } from "../src/open/resolve";
import { Peer, tableOf } from "./peer";

const STUDIES = { "brain-tumor": { project: "BTS", title: "Glioma" } };

function peer(): Peer {
  return new Peer()
    .on("GET /data/config/overread/studies", STUDIES)
    .on("GET /data/projects/BTS/experiments", tableOf());
}

describe("readRequest", () => {
  it.each([
    ["?study=brain-tumor&uid=1.2.3", { study: "brain-tumor", key: { kind: "uid", value: "1.2.3" } }],
    ["?study=brain-tumor&accession=A%201", { study: "brain-tumor", key: { kind: "accession", value: "A 1" } }],
    [
      "?study=brain-tumor&uid=1.2&expires=9&signature=ab",
      { study: "brain-tumor", key: { kind: "uid", value: "1.2" }, expires: "9", signature: "ab" },
    ],
    ["?study=brain-tumor", { study: "brain-tumor", key: null }],
    ["", { study: "", key: null }],
  ])("reads %s", (search, expected) => {
    expect(readRequest(search)).toEqual({ expires: "", signature: "", ...expected });
  });

  it.each(["1.2.x", "1.2'", "*", ""])("finds %j no UID", (value) => {
    expect(keyProblem({ kind: "uid", value })).toContain("Study Instance UID");
  });

  it.each(["A*", "A%", "A,B", "A".repeat(65)])("lets no wildcard through as accession number: %j", (value) => {
    expect(keyProblem({ kind: "accession", value })).toContain("accession number");
  });
});

describe("resolve", () => {
  it("names the studies of the site for an unknown one", async () => {
    const result = await resolve(peer().client, readRequest("?study=liver&uid=1.2"));
    expect(result).toEqual({
      kind: "unknown-study",
      studies: [{ id: "brain-tumor", project: "BTS", title: "Glioma" }],
    });
  });

  it("finds the one exam of a UID", async () => {
    const server = peer().on(
      "GET /data/projects/BTS/experiments",
      tableOf({ ID: "E1", UID: "1.2", date: "2024-01-01", label: "L", subject_ID: "S1" }),
    );
    expect(await resolve(server.client, readRequest("?study=brain-tumor&uid=1.2"))).toMatchObject({
      kind: "found",
      exam: { id: "E1" },
    });
    expect(server.calls.at(-1)?.query.get("UID")).toBe("1.2");
  });

  it("asks by accession number under XNAT's name for it, and lists several hits", async () => {
    const server = peer().on("GET /data/projects/BTS/experiments", tableOf({ ID: "E1" }, { ID: "E2" }));
    expect(await resolve(server.client, readRequest("?study=brain-tumor&accession=A1"))).toMatchObject({
      kind: "several",
      exams: [{ id: "E1" }, { id: "E2" }],
    });
    expect(server.calls.at(-1)?.query.get("dcmAccessionNumber")).toBe("A1");
  });

  it("sees an exam that is arriving", async () => {
    const server = peer().on(
      "GET /data/prearchive/projects/BTS",
      tableOf({ tag: "1.2", status: "_RECEIVING" }, { tag: "1.3", status: "READY" }),
    );
    expect(await resolve(server.client, readRequest("?study=brain-tumor&uid=1.2"))).toMatchObject({
      kind: "arriving",
      status: "Images are coming in.",
    });
    expect(await resolve(server.client, readRequest("?study=brain-tumor&uid=1.9"))).toMatchObject({
      kind: "absent",
      others: 2,
    });
  });

  it("says that an exam is absent where the prearchive is hidden", async () => {
    expect(await resolve(peer().client, readRequest("?study=brain-tumor&uid=1.2"))).toMatchObject({
      kind: "absent",
      others: null,
    });
  });

  it("asks which exam if the button names none", async () => {
    expect(await resolve(peer().client, readRequest("?study=brain-tumor"))).toEqual({ kind: "no-key" });
  });
});

describe("a signature", () => {
  const signed = "?study=brain-tumor&uid=1.2&expires=99&signature=ab";

  it.each(["unsigned", "wrong", "expired"])("that is %s opens nothing, whatever is there", async (why) => {
    const server = peer()
      .on("GET /data/projects/BTS/experiments", tableOf({ ID: "E1", UID: "1.2" }))
      .on("POST /xapi/overread/projects/BTS/button/check", { accepted: false, why });
    expect(await resolve(server.client, readRequest(signed))).toEqual({ kind: "refused", why });
    expect(server.calls.some((call) => call.path.endsWith("/experiments"))).toBe(false);
  });

  it("is asked once of a page that waits, and its values go in the body", async () => {
    const server = peer().on("POST /xapi/overread/projects/BTS/button/check", { accepted: true, why: "" });
    const request = readRequest(signed);
    await resolve(server.client, request);
    await resolve(server.client, request);
    const asked = server.calls.filter((call) => call.path.endsWith("/check"));
    expect(asked.map((call) => call.body)).toEqual([
      { study: "brain-tumor", uid: "1.2", expires: "99", signature: "ab" },
    ]);
    expect([...asked[0]!.query.keys()]).toEqual(["XNAT_CSRF"]);
  });

  it("that can't be asked for now is no refusal", async () => {
    const server = peer().on("POST /xapi/overread/projects/BTS/button/check", () => new Response("", { status: 500 }));
    await expect(resolve(server.client, readRequest(signed))).rejects.toThrow("500");
  });
});

describe("takeRequest", () => {
  beforeEach(() => {
    sessionStorage.clear();
    window.history.replaceState(null, "", "/overread/open?study=brain-tumor&accession=ACC-77");
  });

  it("takes the accession number out of the address at once", () => {
    expect(takeRequest().key).toEqual({ kind: "accession", value: "ACC-77" });
    expect(window.location.href).not.toContain("ACC-77");
    expect(window.location.search).toBe("?study=brain-tumor");
  });

  it("still knows it after a reload or a login, until it is told to forget", () => {
    takeRequest();
    expect(takeRequest().key).toEqual({ kind: "accession", value: "ACC-77" });
    forgetRequest();
    expect(takeRequest().key).toBeNull();
  });

  it("keeps the signature with the number", () => {
    const query = "study=brain-tumor&accession=ACC-77&expires=99&signature=ab";
    window.history.replaceState(null, "", `/overread/open?${query}`);
    takeRequest();
    expect(takeRequest()).toMatchObject({ expires: "99", signature: "ab" });
  });

  it("does not take one study's number for another's", () => {
    takeRequest();
    window.history.replaceState(null, "", "/overread/open?study=liver");
    expect(takeRequest().key).toBeNull();
  });

  it("prefers what the address says", () => {
    takeRequest();
    window.history.replaceState(null, "", "/overread/open?study=brain-tumor&uid=1.2.3");
    expect(takeRequest().key).toEqual({ kind: "uid", value: "1.2.3" });
  });
});
