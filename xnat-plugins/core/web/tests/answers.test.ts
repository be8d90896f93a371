import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Form, readForm } from "../src/form/schema";
import { completed } from "../src/form/values";
import { Clock, Stopwatch } from "../src/review/clock";
import { Feedback } from "../src/review/feedback";
import { type AnswerPlace, type AnswerVersion, loadAnswer, loadSaid, saveAnswer } from "../src/xnat/answers";
import { nextCase } from "../src/xnat/cases";
import type { XnatClient } from "../src/xnat/client";
import { Peer } from "./peer";

const PLACE: AnswerPlace = { project: "BTS", examId: "E1", resultId: "R1", formUuid: "f1", login: "reader1" };
const FIELDS = "/xapi/custom-fields/projects/BTS/experiments/E1/assessors/R1/fields";
const KEY = "answer:f1:reader1";
const DRAFT = `${FIELDS}/draft:f1:reader1`;

/** XNAT's custom fields: a PUT replaces top-level keys and answers with the whole object. */
class Fields {
  stored: Record<string, unknown> = {
    "answer:f1:reader2": { data: { a: "theirs" }, submitted_at: "2024-01-01T00:00:00Z", form_version: 1 },
  };
  readonly peer = new Peer()
    .on(`GET ${FIELDS}`, () => this.stored)
    .on(`DELETE ${DRAFT}`, () => {
      const { [`draft:f1:reader1`]: gone, ...rest } = this.stored;
      if (gone === undefined) return new Response("", { status: 404 });
      return (this.stored = rest);
    })
    .on(`PUT ${FIELDS}`, (call) => (this.stored = { ...this.stored, ...(call.body as object) }));
}

const version = (a: string, submitted_at: string): AnswerVersion => ({
  data: { a },
  submitted_at,
  form_version: 2,
  started_at: "",
  active_s: 12.5,
  edit_s: 0,
});

async function showFeedback(
  box: HTMLElement,
  client: XnatClient,
  form: Form | null,
  place: AnswerPlace | null,
): Promise<Feedback> {
  const feedback = new Feedback(box, client, { clock: new Clock(), keys: "decisions", sent: () => undefined });
  await feedback.load(form, place);
  return feedback;
}

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

  it("keeps what was begun, and forgets it once it is sent", async () => {
    const fields = new Fields();
    await showFeedback(box, fields.peer.client, form, PLACE);
    answer("half a th");
    await new Promise((resolve) => setTimeout(resolve, 1400));
    expect(status()).toContain("kept as a draft");
    expect((await loadSaid(fields.peer.client, PLACE)).draft).toEqual({ a: "half a th" });
    const again = await showFeedback(box, fields.peer.client, form, PLACE);
    expect(box.querySelector("input")?.value).toBe("half a th");
    expect(again.answer).toBeNull();
    answer("half a thought more");
    await send();
    expect((await loadSaid(fields.peer.client, PLACE)).draft).toBeNull();
    expect((await loadAnswer(fields.peer.client, PLACE))?.data).toEqual({ a: "half a thought more" });
  });

  describe("while the network is slow", () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    /** PUTs of drafts wait until they are let go, the first one last. */
    function slow(fields: Fields): (() => void)[] {
      const held: (() => void)[] = [];
      fields.peer.on(`PUT ${FIELDS}`, (call) => {
        const put = (): object => (fields.stored = { ...fields.stored, ...(call.body as object) });
        if (!Object.keys(call.body as object)[0]!.startsWith("draft:")) return put();
        return new Promise<object>((resolve) => held.push(() => resolve(put())));
      });
      return held;
    }

    it("lets no older draft lie over a newer one, nor over a sent answer", async () => {
      const fields = new Fields();
      const held = slow(fields);
      const feedback = await showFeedback(box, fields.peer.client, form, PLACE);
      answer("one");
      await vi.advanceTimersByTimeAsync(1300);
      answer("two");
      await vi.advanceTimersByTimeAsync(1300);
      expect(held.length).toBe(1); // the second waits for the first
      answer("three");
      box.querySelector("form")?.dispatchEvent(new Event("submit", { cancelable: true }));
      await vi.advanceTimersByTimeAsync(100);
      expect(feedback.answer).toBeNull();
      for (let put = held.shift(); put !== undefined; put = held.shift()) {
        put();
        await vi.advanceTimersByTimeAsync(10);
      }
      await vi.advanceTimersByTimeAsync(2000);
      expect(feedback.answer?.data).toEqual({ a: "three" });
      expect((await loadSaid(fields.peer.client, PLACE)).draft).toBeNull();
    });

    it("takes no other answer while one is being sent", async () => {
      const fields = new Fields();
      let put: (() => void) | null = null;
      fields.peer.on(`PUT ${FIELDS}`, (call) => {
        const done = (): object => (fields.stored = { ...fields.stored, ...(call.body as object) });
        return new Promise<object>((resolve) => (put = () => resolve(done())));
      });
      await showFeedback(box, fields.peer.client, form, PLACE);
      answer("sent");
      box.querySelector("form")?.dispatchEvent(new Event("submit", { cancelable: true }));
      await vi.advanceTimersByTimeAsync(10);
      expect(box.querySelector<HTMLElement>(".form")?.inert).toBe(true);
      put!();
      await vi.advanceTimersByTimeAsync(3000);
      expect(box.querySelector<HTMLElement>(".form")?.inert).toBe(false);
      expect((await loadSaid(fields.peer.client, PLACE)).draft).toBeNull();
    });

    it("keeps what was said in the last moment before the page is left", async () => {
      const fields = new Fields();
      await showFeedback(box, fields.peer.client, form, PLACE);
      answer("just typed");
      await vi.advanceTimersByTimeAsync(200);
      window.dispatchEvent(new Event("pagehide"));
      await vi.advanceTimersByTimeAsync(10);
      expect((await loadSaid(fields.peer.client, PLACE)).draft).toEqual({ a: "just typed" });
    });
  });

  it("is called sent although its draft could not be forgotten", async () => {
    const fields = new Fields();
    fields.peer.on(`DELETE ${DRAFT}`, () => new Response("", { status: 500 }));
    const feedback = await showFeedback(box, fields.peer.client, form, PLACE);
    answer("mine");
    await send();
    expect(status()).toContain("Answered on");
    expect(feedback.answer?.data).toEqual({ a: "mine" });
  });

  it("is answered with one key where the form says what follows from it", async () => {
    const known = readForm(
      {
        components: [
          { type: "textfield", key: "a", properties: { accept: "good", reject: "bad" }, validate: { required: true } },
          {
            type: "textfield",
            key: "why",
            conditional: { show: true, when: "a", eq: "bad" },
            validate: { required: true },
          },
        ],
      },
      "",
    );
    const fields = new Fields();
    const feedback = await showFeedback(box, fields.peer.client, known, PLACE);
    expect(box.querySelector(".keys")?.textContent).toContain("accept");
    expect(await feedback.decide("reject")).toBe(false); // why is asked for
    expect(status()).toBe("One answer is missing or wrong.");
    expect(document.activeElement).toBe(box.querySelectorAll("input")[1]);
    const other = await showFeedback(box, new Fields().peer.client, known, PLACE);
    expect(await other.decide("accept")).toBe(true);
    expect(other.answer?.data).toEqual({ a: "good" });
    expect(other.answer?.started_at).toMatch(/^\d{4}-/);
  });
});

describe("what follows from a decision", () => {
  const form = readForm(
    {
      components: [
        { type: "radio", key: "use", values: [{ value: "yes" }, { value: "no" }], properties: { accept: "yes" } },
        {
          type: "number",
          key: "grade",
          properties: { accept: "5" },
          conditional: { show: true, when: "use", eq: "yes" },
        },
        { type: "textfield", key: "remarks" },
      ],
    },
    "",
  );

  it("fills what is empty, also what is asked for only then, and leaves a reader's own word", () => {
    expect(completed(form, {}, "accept")).toEqual({ use: "yes", grade: 5 });
    expect(completed(form, { use: "no" }, "accept")).toEqual({ use: "no" });
    expect(completed(form, {}, "reject")).toEqual({});
  });
});

describe("time", () => {
  it("counts what lies between signs of life, but no absence", () => {
    const watch = new Stopwatch();
    for (const ms of [0, 4000, 9000, 600_000, 601_000]) watch.tick(ms);
    expect(watch.seconds).toBe(4 + 5 + 30 + 1);
  });
});

describe("the clock", () => {
  it("does not depend on the computer's clock being set meanwhile", () => {
    vi.useFakeTimers({ now: Date.parse("2026-05-04T10:00:00Z") });
    try {
      const clock = new Clock();
      vi.advanceTimersByTime(5000);
      vi.setSystemTime(Date.parse("2026-05-04T09:00:00Z"));
      clock.active();
      vi.advanceTimersByTime(2000);
      clock.active();
      expect(clock.times).toMatchObject({ first_interaction_s: 5, active_s: 7, submitted_s: 7 });
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the next case", () => {
  const cases = ["a", "b", "c"].map((examId) => ({
    examId,
    date: "",
    answered: examId === "b",
    studyInstanceUid: "",
    seriesUids: [],
  }));

  it("is the next one without an answer, from the beginning after the last", () => {
    expect(nextCase(cases, "a")?.examId).toBe("c");
    expect(nextCase(cases, "c")?.examId).toBe("a");
    expect(nextCase(cases, "unknown")?.examId).toBe("a");
    expect(nextCase(cases.slice(0, 2), "a")).toBeNull();
  });
});
