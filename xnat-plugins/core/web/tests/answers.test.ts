import { beforeEach, describe, expect, it } from "vitest";
import { readForm } from "../src/form/schema";
import { showFeedback } from "../src/review/feedback";
import { type AnswerPlace, loadAnswer, saveAnswer } from "../src/xnat/answers";
import { Peer } from "./peer";

const PLACE: AnswerPlace = { project: "BTS", examId: "E1", resultId: "R1", formUuid: "f1", login: "reader1" };
const FIELDS = "/xapi/custom-fields/projects/BTS/experiments/E1/assessors/R1/fields";
const KEY = "answer:f1:reader1";

/** XNAT's custom fields: a PUT replaces top-level keys and answers with the whole object. */
class Fields {
  stored: Record<string, unknown> = {
    "answer:f1:reader2": { data: { a: "theirs" }, submitted_at: "2024-01-01T00:00:00Z", form_version: 1 },
  };
  readonly peer = new Peer()
    .on(`GET ${FIELDS}`, () => this.stored)
    .on(`PUT ${FIELDS}`, (call) => (this.stored = { ...this.stored, ...(call.body as object) }));
}

const version = (
  a: string,
  submitted_at: string,
): { data: { a: string }; submitted_at: string; form_version: number } => ({
  data: { a },
  submitted_at,
  form_version: 2,
});

describe("a reader's answer", () => {
  it("is none before the first one", async () => {
    expect(await loadAnswer(new Fields().peer.client, PLACE)).toBeNull();
    expect(await loadAnswer(new Peer().client, PLACE)).toBeNull();
  });

  it("is stored under the reader's own key and read back", async () => {
    const fields = new Fields();
    await saveAnswer(fields.peer.client, PLACE, version("mine", "2024-02-01T10:00:00Z"));
    expect(Object.keys(fields.stored)).toEqual(["answer:f1:reader2", KEY]);
    expect(await loadAnswer(fields.peer.client, PLACE)).toMatchObject({
      data: { a: "mine" },
      form_version: 2,
      previous: [],
    });
    expect(fields.peer.calls.find((call) => call.method === "PUT")?.body).toEqual({
      [KEY]: { ...version("mine", "2024-02-01T10:00:00Z"), previous: [] },
    });
  });

  it("keeps every former version, also one that another tab stored meanwhile", async () => {
    const fields = new Fields();
    for (const [index, text] of ["one", "two", "three"].entries()) {
      await saveAnswer(fields.peer.client, PLACE, version(text, `2024-02-0${index + 1}T00:00:00Z`));
    }
    const answer = await loadAnswer(fields.peer.client, PLACE);
    expect(answer?.data).toEqual({ a: "three" });
    expect(answer?.previous.map((each) => each.data["a"])).toEqual(["one", "two"]);
  });

  it("is not called sent if XNAT did not keep it", async () => {
    const fields = new Fields();
    fields.peer.on(`PUT ${FIELDS}`, {});
    await expect(saveAnswer(fields.peer.client, PLACE, version("x", "2024-02-01T00:00:00Z"))).rejects.toThrow(
      "XNAT did not keep the answer",
    );
  });
});

describe("the form on the page", () => {
  const form = readForm(
    { title: "Feedback", components: [{ type: "textfield", key: "a", label: "A", validate: { required: true } }] },
    "",
  );
  let box: HTMLElement;
  beforeEach(() => {
    box = document.createElement("section");
    document.body.replaceChildren(box);
  });
  const status = (): string => box.querySelector(".status")?.textContent ?? "";
  const answer = (text: string): void => {
    const input = box.querySelector("input")!;
    input.value = text;
    input.dispatchEvent(new Event("input"));
  };
  const send = async (): Promise<void> => {
    box.querySelector("form")!.dispatchEvent(new Event("submit", { cancelable: true }));
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
  };

  it("refuses to send what is incomplete", async () => {
    const fields = new Fields();
    await showFeedback(box, fields.peer.client, form, PLACE);
    await send();
    expect(status()).toBe("One answer is missing or wrong.");
    expect(fields.peer.calls.some((call) => call.method === "PUT")).toBe(false);
  });

  it("sends, says so, and shows the answer on return", async () => {
    const fields = new Fields();
    await showFeedback(box, fields.peer.client, form, PLACE);
    answer("fine");
    expect(status()).toBe("Not sent yet.");
    await send();
    expect(status()).toMatch(/^Answered on \d{4}-\d\d-\d\d \d\d:\d\d\.$/);
    await showFeedback(box, fields.peer.client, form, PLACE);
    expect(box.querySelector("input")?.value).toBe("fine");
    expect(box.querySelector("button")?.textContent).toBe("Send changed answer");
  });

  it("tells of an answer that was given elsewhere meanwhile, and keeps it", async () => {
    const fields = new Fields();
    await showFeedback(box, fields.peer.client, form, PLACE);
    await saveAnswer(fields.peer.client, PLACE, version("other tab", "2024-02-01T00:00:00Z"));
    answer("this tab");
    await send();
    expect(status()).toContain("given elsewhere, is kept as a former version");
    expect((await loadAnswer(fields.peer.client, PLACE))?.previous).toHaveLength(1);
  });

  it("keeps the answer on the page if it may not be stored", async () => {
    const fields = new Fields();
    fields.peer.on(`PUT ${FIELDS}`, () => new Response("", { status: 403 }));
    await showFeedback(box, fields.peer.client, form, PLACE);
    answer("fine");
    await send();
    expect(status()).toContain("Ask its owner to make you a member");
    expect(box.querySelector("input")?.value).toBe("fine");
    expect(box.querySelector("button")?.disabled).toBe(false);
  });

  it("waits for a result to judge", async () => {
    await showFeedback(box, new Peer().client, form, null);
    expect(box.textContent).toContain("as soon as there is a result");
    await showFeedback(box, new Peer().client, null, PLACE);
    expect(box.textContent).toContain("no feedback form");
  });
});
