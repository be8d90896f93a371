import { describe, expect, it } from "vitest";
import { LoginNeeded, loginUrl, path, XnatClient, XnatError } from "../src/xnat/client";
import { Peer } from "./peer";

describe("XnatClient", () => {
  it("takes the login page that a browser is sent to for a missing login", async () => {
    const peer = new Peer().on("GET /data/x", "<!DOCTYPE html><html><body>Login</body></html>");
    await expect(peer.client.json("/data/x")).rejects.toBeInstanceOf(LoginNeeded);
  });

  it("takes 401 for a missing login", async () => {
    const peer = new Peer().on("GET /data/x", () => new Response("", { status: 401 }));
    await expect(peer.client.json("/data/x")).rejects.toBeInstanceOf(LoginNeeded);
  });

  it("says in words what 403 means and keeps status and path", async () => {
    const peer = new Peer().on("GET /data/x", () => new Response("", { status: 403 }));
    const error = await peer.client.json("/data/x", { a: "1" }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ status: 403, path: "/data/x" });
    expect((error as XnatError).message).toContain("Ask the project's owner");
  });

  it("says so when the network is away", async () => {
    const client = new XnatClient(() => Promise.reject(new TypeError("failed")));
    await expect(client.json("/data/x")).rejects.toThrow("XNAT cannot be reached");
  });

  it("refuses an answer that is not JSON", async () => {
    const peer = new Peer().on("GET /data/x", "hello");
    await expect(peer.client.json("/data/x")).rejects.toThrow("not JSON");
  });

  it("gives null for 204 and, if asked so, for hidden or missing objects", async () => {
    const peer = new Peer().on("GET /data/x", () => new Response(null, { status: 204 }));
    expect(await peer.client.json("/data/x")).toBeNull();
    expect(await peer.client.optionalJson("/data/none")).toBeNull();
  });

  it("puts the session's token into the query of a PUT, asked for once", async () => {
    const peer = new Peer().on("PUT /xapi/x", (call) => call.body as object);
    expect(await peer.client.putJson("/xapi/x", { a: 1 })).toEqual({ a: 1 });
    await peer.client.putJson("/xapi/x", { a: 2 });
    expect(peer.calls.filter((call) => call.method === "PUT").map((call) => call.query.get("XNAT_CSRF"))).toEqual([
      "token-1",
      "token-1",
    ]);
    expect(peer.calls.filter((call) => call.path === "/data/JSESSION")).toHaveLength(1);
  });

  it("asks for a new token once when the old one is refused", async () => {
    let token = 0;
    const peer = new Peer()
      .on("GET /data/JSESSION", () => `ABC; XNAT_CSRF=token-${++token}`)
      .on("PUT /xapi/x", (call) =>
        call.query.get("XNAT_CSRF") === "token-2" ? {} : new Response("", { status: 403 }),
      );
    expect(await peer.client.putJson("/xapi/x", {})).toEqual({});
  });

  it("gives up when the new token is refused as well", async () => {
    const peer = new Peer().on("PUT /xapi/x", () => new Response("", { status: 403 }));
    await expect(peer.client.putJson("/xapi/x", {})).rejects.toMatchObject({ status: 403 });
    expect(peer.calls.filter((call) => call.method === "PUT")).toHaveLength(2);
  });
});

describe("addresses", () => {
  it("encodes every part of a path", () => {
    expect(path("data", "projects", "A/../B?x")).toBe("/data/projects/A%2F..%2FB%3Fx");
  });

  it("encodes where the login leads back to", () => {
    expect(loginUrl("/overread/open?study=a&uid=1.2")).toBe(
      "/app/template/Login.vm?next=%2Foverread%2Fopen%3Fstudy%3Da%26uid%3D1.2",
    );
  });
});
