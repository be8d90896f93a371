import { beforeEach, describe, expect, it } from "vitest";
import { loadButton, loadKept, newSecret, setMode, setSecret, setThreshold } from "../src/admin-settings/store";
import { readManifest } from "../src/xnat/studies";
import { Peer, tableOf } from "./peer";

const STUDY = {
  id: "brain-tumor",
  mode: "assist",
  report_wrapper_name: "report",
  progression: { measure: "lesion_volume_ml", increase_pct: 40 },
};
const RULES = btoa(JSON.stringify({ measure: "lesion_volume_ml", increase_pct: 40 }));
const NOW = new Date("2026-03-01T10:00:00.000Z");

/** A project that keeps what is written to it. */
function project(): Peer {
  const kept: Record<string, unknown> = { study: STUDY };
  const members = new Map([
    ["ada", "collaborator"],
    ["bob", "member"],
    ["own", "owner"],
  ]);
  const peer = new Peer()
    .on("GET /xapi/users/username", "admin")
    .on("GET /data/projects/BTS/users", () =>
      tableOf(...[...members].map(([login, group]) => ({ login, GROUP_ID: `BTS_${group}` }))),
    )
    .on("GET /xapi/projects/BTS/commands/available", [{ "wrapper-name": "report", "wrapper-id": 7 }])
    .on("GET /xapi/projects/BTS/wrappers/7/config", {
      inputs: { progression: { "default-value": RULES, "user-settable": false }, title: { "default-value": "t" } },
      outputs: {},
    })
    .on("POST /xapi/projects/BTS/wrappers/7/config", "");
  for (const name of ["study", "modes"]) {
    peer.on(`GET /data/projects/BTS/config/overread/${name}`, () =>
      name in kept ? JSON.stringify(kept[name]) : new Response(null, { status: 204 }),
    );
    peer.on(`PUT /data/projects/BTS/config/overread/${name}`, (call) => {
      kept[name] = call.body;
      return "";
    });
  }
  for (const [login, group] of members) {
    peer.on(`DELETE /data/projects/BTS/users/${group}/${login}`, () => (members.delete(login), ""));
    peer.on(`PUT /data/projects/BTS/users/${group}/${login}`, () => (members.set(login, group), ""));
  }
  return peer;
}

async function threshold(peer: Peer): Promise<number> {
  const json = (await loadKept(peer.client, "BTS")).json;
  return readManifest(json, "BTS").increasePct;
}

let peer: Peer;
beforeEach(() => {
  peer = project();
});

describe("a threshold", () => {
  it("is that of the pages and of the report, until it is taken back", async () => {
    await setThreshold(peer.client, "BTS", 55);
    expect(await threshold(peer)).toBe(55);
    const sent = peer.calls.at(-2)!;
    expect(sent.method).toBe("POST");
    const inputs = (sent.body as { inputs: Record<string, Record<string, string>> }).inputs;
    expect(JSON.parse(atob(inputs["progression"]!["default-value"]!))).toEqual({
      measure: "lesion_volume_ml",
      increase_pct: 55,
    });
    expect(inputs["title"]).toEqual({ "default-value": "t" });
    await setThreshold(peer.client, "BTS", null);
    expect(await threshold(peer)).toBe(40);
  });

  it.each([0, -1, Number.NaN, 10_001])("of %s is refused, and nothing is sent", async (pct) => {
    await expect(setThreshold(peer.client, "BTS", pct)).rejects.toThrow("more than 0");
    expect(peer.calls).toEqual([]);
  });
});

describe("the mode", () => {
  it("takes readers' roles in shadow, gives them back after it, and both are written down", async () => {
    await setMode(peer.client, "BTS", "shadow", "the readers begin without it", NOW);
    const users = async (): Promise<string> => JSON.stringify(await peer.client.json("/data/projects/BTS/users"));
    expect(await users()).not.toMatch(/ada|bob/);
    expect(await users()).toContain("own");
    expect((await loadKept(peer.client, "BTS")).mode).toBe("shadow");
    const done = await setMode(peer.client, "BTS", "assist", "the pilot  went well", NOW);
    expect(done).toContain("ada is collaborator of BTS again");
    expect(await users()).toMatch(/ada.*bob/);
    expect(await peer.client.json("/data/projects/BTS/config/overread/modes")).toEqual({
      version: 1,
      changes: [
        {
          at: "2026-03-01T10:00:00.000+00:00",
          before: "assist",
          after: "shadow",
          by: "admin",
          reason: "the readers begin without it",
          withdrawn: [
            ["ada", "collaborator"],
            ["bob", "member"],
          ],
        },
        expect.objectContaining({ before: "shadow", after: "assist", reason: "the pilot went well", withdrawn: [] }),
      ],
    });
  });

  it("is not changed without a reason", async () => {
    await expect(setMode(peer.client, "BTS", "shadow", "because", NOW)).rejects.toThrow("10 to 1000 characters");
    expect(peer.calls).toEqual([]);
  });
});

describe("the button's secret", () => {
  it("is sent and never read", async () => {
    peer.on("PUT /xapi/overread/projects/BTS/button", { signed: true, fingerprint: "0a1b2c3d" });
    const secret = newSecret();
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(newSecret()).not.toBe(secret);
    expect(await setSecret(peer.client, "BTS", secret)).toEqual({ signed: true, fingerprint: "0a1b2c3d" });
  });

  it("is not offered where the server has no such thing", async () => {
    expect(await loadButton(peer.client, "BTS")).toBeNull();
  });
});
