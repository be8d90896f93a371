/** Where the exam's reports were sent, and how far each is. */

import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import type { XnatClient } from "../xnat/client";
import { type Delivery, loadDeliveries } from "../xnat/deliveries";
import type { Manifest, SendTo } from "../xnat/studies";

const POLL_MS = 5000;
const LONGEST_MS = 3 * 60 * 1000;

export class Deliveries {
  readonly element = el("div", { class: "deliveries", hidden: true });
  #waiting = 0;

  constructor(
    private readonly xnat: XnatClient,
    private readonly manifest: Manifest,
    private readonly examId: string,
    private readonly pollMs = POLL_MS,
  ) {}

  /** Show what is known; asks nothing where the study sends its reports nowhere. */
  async load(): Promise<readonly Delivery[]> {
    const { project, reportSendTo, mode } = this.manifest;
    if (reportSendTo.length === 0) return [];
    const found = await loadDeliveries(this.xnat, project, this.examId);
    const nodes = reportSendTo.map((to) => to.node).join(", ");
    const lines = found.map((each) => {
      const to = reportSendTo.find((one) => one.node === each.node);
      const text = t("Report of {made}: {state}", { made: each.made, state: inWords(each, to) });
      return el("li", { "data-state": each.state, class: each.state === "refused" ? "bad" : "" }, text);
    });
    const quiet = t("Reports are sent to {nodes} only while the study is live.", { nodes });
    show(
      this.element,
      mode === "live" ? null : el("p", { class: "quiet" }, quiet),
      lines.length === 0 ? null : el("ul", { "aria-label": t("Sent reports") }, ...lines),
    );
    this.element.hidden = mode === "live" && lines.length === 0;
    return found;
  }

  /** After a report was made: look until one more is at its end, or it takes too long to wait for. */
  async follow(): Promise<void> {
    if (this.manifest.reportSendTo.length === 0 || this.manifest.mode !== "live") return;
    const turn = ++this.#waiting;
    const before = new Set((await this.load()).map((each) => each.scan));
    const until = Date.now() + LONGEST_MS;
    while (turn === this.#waiting && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, this.pollMs));
      const news = (await this.load()).filter((each) => !before.has(each.scan));
      if (news.length > 0 && news.every((each) => isDone(each, this.#to(each.node)))) return;
    }
  }

  #to(node: string): SendTo | undefined {
    return this.manifest.reportSendTo.find((each) => each.node === node);
  }
}

function isDone(delivery: Delivery, to: SendTo | undefined): boolean {
  return delivery.state === "sent" ? to?.commitment !== true : delivery.state !== "waiting";
}

function inWords(delivery: Delivery, to: SendTo | undefined): string {
  const { node, reason, state } = delivery;
  switch (state) {
    case "committed":
      return t("{node} has it and answers for it", { node });
    case "refused":
      return t("{node} does not take it: {why}", { node, why: reason });
    case "held":
      return t("stays here: {why}", { why: reason });
    case "waiting":
      return reason === "" ? t("waits for {node}", { node }) : t("waits for {node}: {why}", { node, why: reason });
    case "sent":
      if (to?.commitment !== true) return t("{node} has it", { node });
      return reason === ""
        ? t("{node} has it, and does not answer for it yet", { node })
        : t("{node} has it, and does not answer for it yet: {why}", { node, why: reason });
  }
}
