/** The viewer's configuration, run as the viewer runs it, with small stand-ins for the viewer's services. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

interface Config {
  routerBasename: string;
  extensions: [Extension];
  dataSources: [
    {
      configuration: { qidoRoot: string; segmentation: { store: { defaultMode: string; transferSyntaxUID: string } } };
    },
  ];
}
interface Extension {
  preRegistration: (managers: object) => void;
  onModeEnter: (managers: object) => void;
  getCommandsModule: (managers: object) => { definitions: { reviewSave: () => Promise<void> } };
  getHangingProtocolModule: () => [{ protocol: { displaySetSelectors: { image: { seriesMatchingRules: object[] } } } }];
}

async function configured(search: string): Promise<Config> {
  window.history.replaceState(null, "", `/viewer/segmentation${search}`);
  vi.resetModules();
  await import("../src/viewer/app-config.js");
  return (window as unknown as { config: Config }).config;
}

const DISPLAY_SET = {
  Modality: "SEG",
  StudyInstanceUID: "1.2",
  SeriesInstanceUID: "1.2.9",
  SOPInstanceUID: "1.2.9.1",
  SOPClassUID: "1.2.840.10008.5.1.4.1.1.66.4",
};

/** The viewer's managers; `store` plays the server. */
function managers(store: (dataset: Record<string, unknown>, request: XMLHttpRequest) => void, segmentations = ["seg"]) {
  const notices: string[] = [];
  const listeners: (() => void)[] = [];
  const commands: [string, unknown][] = [];
  const servicesManager = {
    services: {
      viewportGridService: {
        getActiveViewportId: () => "v",
        EVENTS: { VIEWPORTS_READY: "ready" },
        subscribe: (_: string, listener: () => void) => {
          listeners.push(listener);
          return { unsubscribe: () => listeners.splice(listeners.indexOf(listener), 1) };
        },
      },
      segmentationService: {
        EVENTS: { SEGMENTATION_DATA_MODIFIED: "modified" },
        subscribe: (_: string, listener: () => void) => listeners.push(listener),
        getSegmentationRepresentations: () => segmentations.map((segmentationId) => ({ segmentationId, active: true })),
        getSegmentations: () => [],
        getSegmentation: () => undefined,
      },
      displaySetService: { getDisplaySetByUID: (uid: string) => (uid === "seg" ? DISPLAY_SET : undefined) },
      uiNotificationService: { show: (notice: { message: string }) => notices.push(notice.message) },
    },
  };
  const commandsManager = {
    runCommand: (name: string, options: unknown) => {
      commands.push([name, options]);
      return { dataset: { SOPInstanceUID: "2.25.1", SeriesInstanceUID: "2.25.2", StudyID: "No Study ID" } };
    },
  };
  const extensionManager = {
    getActiveDataSource: () => [
      {
        store: { dicom: async (dataset: Record<string, unknown>, request: XMLHttpRequest) => store(dataset, request) },
      },
    ],
  };
  return { servicesManager, commandsManager, extensionManager, notices, listeners, commands };
}

describe("app-config.js", () => {
  const told: Record<string, unknown>[] = [];
  beforeEach(() => {
    told.length = 0;
    vi.stubGlobal("parent", {
      postMessage: (message: Record<string, unknown>, origin: string) => told.push({ ...message, origin }),
    });
    vi.stubGlobal("fetch", async () => new Response("ABC; XNAT_CSRF=token 1"));
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    vi.spyOn(console, "debug").mockImplementation(() => undefined);
  });
  afterEach(() => vi.unstubAllGlobals());

  async function save(made: ReturnType<typeof managers>): Promise<void> {
    const [extension] = (await configured("?project=BTS")).extensions;
    await extension.getCommandsModule(made).definitions.reviewSave();
  }

  it("asks the project of the address, and no other path", async () => {
    expect((await configured("?project=BTS")).dataSources[0].configuration.qidoRoot).toBe(
      "/xapi/dicomweb/projects/BTS",
    );
    expect((await configured("?project=../../evil")).dataSources[0].configuration.qidoRoot).toBe(
      "/xapi/dicomweb/projects/_",
    );
    expect((await configured("")).routerBasename).toBe("/viewer");
  });

  it("stores label maps, uncompressed", async () => {
    expect((await configured("?project=BTS")).dataSources[0].configuration.segmentation.store).toEqual({
      defaultMode: "labelmap",
      transferSyntaxUID: "1.2.840.10008.1.2.1",
    });
  });

  it("hangs the first series of the address", async () => {
    const [{ protocol }] = (
      await configured("?project=BTS&SeriesInstanceUIDs=1.5,1.6,1.9")
    ).extensions[0].getHangingProtocolModule();
    expect(protocol.displaySetSelectors.image.seriesMatchingRules).toContainEqual({
      attribute: "SeriesInstanceUID",
      constraint: { equals: { value: "1.5" } },
      required: true,
    });
  });

  it("names the mask that was changed, carries the token, and tells under which UIDs the server keeps it", async () => {
    let stored: Record<string, unknown> = {};
    let url = "";
    await save(
      managers((dataset, request) => {
        stored = dataset;
        vi.spyOn(XMLHttpRequest.prototype, "open").mockImplementation(
          (_: string, to: string | URL) => void (url = String(to)),
        );
        request.open("post", "/xapi/dicomweb/projects/BTS/studies", true);
        const answer = {
          "00081199": {
            Value: [
              { "00081155": { Value: ["9.9.1"] }, "00081190": { Value: ["/x/studies/1/series/9.9/instances/9.9.1"] } },
            ],
          },
        };
        Object.defineProperty(request, "responseText", { value: JSON.stringify(answer) });
      }),
    );
    expect(url).toBe("/xapi/dicomweb/projects/BTS/studies?XNAT_CSRF=token");
    expect(stored["StudyID"]).toBe("");
    expect(stored["PredecessorDocumentsSequence"]).toEqual([
      {
        StudyInstanceUID: "1.2",
        ReferencedSeriesSequence: [
          {
            SeriesInstanceUID: "1.2.9",
            ReferencedSOPSequence: [
              { ReferencedSOPClassUID: DISPLAY_SET.SOPClassUID, ReferencedSOPInstanceUID: "1.2.9.1" },
            ],
          },
        ],
      },
    ]);
    expect(told.map((message) => message["type"])).toEqual(["overread:saving", "overread:saved"]);
    expect(told[1]).toMatchObject({
      seriesInstanceUID: "9.9",
      sopInstanceUID: "9.9.1",
      origin: window.location.origin,
    });
  });

  it("names no predecessor for a mask that a reader drew from nothing", async () => {
    let stored: Record<string, unknown> = { PredecessorDocumentsSequence: "?" };
    await save(managers((dataset) => void (stored = dataset), ["own"]));
    expect(stored).not.toHaveProperty("PredecessorDocumentsSequence");
    expect(told.at(-1)).toMatchObject({
      type: "overread:saved",
      seriesInstanceUID: "2.25.2",
      sopInstanceUID: "2.25.1",
    });
  });

  it.each([
    ["This exam is locked.", 409, "This exam is locked."],
    ["<html>...</html>", 500, "the server answered 500"],
    ["", 403, "you may not edit in this project"],
    ["", 401, "your login has run out; log in again in another tab, then save"],
  ])("tells why the server refused: %j", async (text, status, words) => {
    const made = managers((_, request) => {
      for (const [name, value] of Object.entries({ responseText: text, status, readyState: 4 }))
        Object.defineProperty(request, name, { value });
      throw new Error("request failed");
    });
    await save(made);
    expect(told.at(-1)).toMatchObject({ type: "overread:save-failed", message: words });
    expect(made.notices).toEqual([`Not saved: ${words}`]);
  });

  it("says what is missing when there is nothing to save", async () => {
    const made = managers(() => undefined, []);
    await save(made);
    expect(told.at(-1)).toMatchObject({
      type: "overread:save-failed",
      message: "there is no segmentation: add one at the right, and paint",
    });
  });

  it("takes a change for an edit only after the reader has touched the picture", async () => {
    const made = managers(() => undefined);
    (await configured("?project=BTS")).extensions[0].preRegistration(made);
    const [modified] = made.listeners;
    modified!();
    expect(told).toEqual([]);
    const pane = document.createElement("div");
    pane.dataset["cy"] = "viewport-pane";
    document.body.replaceChildren(pane);
    pane.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    modified!();
    expect(told.map((message) => message["type"])).toEqual(["overread:activity", "overread:edited"]);
  });

  it("saves on the host page's word, on nobody else's", async () => {
    const made = managers(() => undefined);
    (await configured("?project=BTS")).extensions[0].preRegistration(made);
    const say = (source: unknown, origin: string): void => {
      const event = new MessageEvent("message", { data: { type: "overread:save" }, origin });
      Object.defineProperty(event, "source", { value: source });
      window.dispatchEvent(event);
    };
    say(window.parent, "http://evil.test");
    say({}, window.location.origin);
    expect(made.commands).toEqual([]);
    say(window.parent, window.location.origin);
    expect(made.commands.map(([name]) => name)).toEqual(["reviewSave"]);
  });

  it("begins with a small brush, once", async () => {
    const made = managers(() => undefined);
    (await configured("?project=BTS")).extensions[0].onModeEnter(made);
    const ready = made.listeners[0]!;
    ready();
    expect(made.commands).toEqual([["setBrushSize", { value: 5 }]]);
    expect(made.listeners).toEqual([]);
    expect(told.map((message) => message["type"])).toEqual(["overread:ready"]);
  });
});
