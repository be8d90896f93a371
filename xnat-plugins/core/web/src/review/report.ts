/** The button that has a DICOM report made of the exam's result, and how far it is. */

import { el } from "../ui/dom";
import { t } from "../ui/i18n";
import type { XnatClient } from "../xnat/client";
import { launchModel } from "../xnat/launching";
import { latestRun, type Run } from "../xnat/processing";
import type { Manifest } from "../xnat/studies";
import { Deliveries } from "./deliveries";

const POLL_MS = 2000;
const LONGEST_MS = 10 * 60 * 1000;

export class ReportButton {
  readonly element = el("div", { class: "report", hidden: true });
  readonly #button = el("button", { type: "button", id: "report" }, t("Generate DICOM report"));
  readonly #deliveries: Deliveries;
  #loaded = false;
  readonly #status = el("span", { class: "quiet", role: "status", id: "report-status" });

  constructor(
    private readonly xnat: XnatClient,
    private readonly manifest: Manifest,
    private readonly examId: string,
    private readonly pollMs = POLL_MS,
  ) {
    this.#button.addEventListener("click", () => void this.#make());
    this.#deliveries = new Deliveries(xnat, manifest, examId);
    this.element.append(el("p", {}, this.#button, " ", this.#status), this.#deliveries.element);
  }

  /** Offer the report where the study has one and there is something to report. */
  offer(measured: boolean): void {
    this.element.hidden = this.manifest.reportWrapperName === "" || !measured;
    if (this.element.hidden || this.#loaded) return;
    this.#loaded = true;
    void this.#deliveries.load().catch(() => undefined); // what is not known is not told; the page goes on
  }

  async #make(): Promise<void> {
    this.#button.disabled = true;
    this.#say(t("starting\u2026"));
    try {
      const before = await this.#run();
      await launchModel(this.xnat, this.manifest.project, this.manifest.reportWrapperName, this.examId);
      const run = await this.#ended(before);
      if (run === null) this.#say(t("not done yet; look again later"));
      else if (run.state === "failed") this.#say(t("failed: {why}", { why: run.reason || run.status }));
      else {
        this.#say(t("stored as a new scan of the exam"));
        void this.#deliveries.follow().catch(() => undefined);
      }
    } catch (error) {
      this.#say(error instanceof Error ? error.message : t("This could not be started."));
    }
    this.#button.disabled = false;
  }

  /** Wait for the end of the run that follows `before`. */
  async #ended(before: Run | null): Promise<Run | null> {
    const until = Date.now() + LONGEST_MS;
    while (Date.now() < until) {
      const run = await this.#run();
      if (run !== null && run.id !== (before?.id ?? "")) {
        if (run.state !== "running") return run;
        this.#say(run.progressPct === null ? t("at work\u2026") : t("{pct} % done", { pct: run.progressPct }));
      }
      await new Promise((resolve) => setTimeout(resolve, this.pollMs));
    }
    return null;
  }

  #run(): Promise<Run | null> {
    const { project, reportWrapperName } = this.manifest;
    return latestRun(this.xnat, { project, objectId: this.examId, wrapperName: reportWrapperName });
  }

  #say(words: string): void {
    this.#status.textContent = words;
  }
}
