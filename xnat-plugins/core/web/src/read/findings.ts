/** The sheet of a findings study: radiographs, with the model's boxes where the arm shows them. */

import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import type { XnatClient } from "../xnat/client";
import { type Finding, loadFindings, loadImageFiles } from "../xnat/images";
import { NoRadiograph, type Radiograph, readRadiograph } from "./dicom";
import type { Sheet } from "./page";
import { findingWords, Radiographs } from "./radiographs";

export class FindingsSheet implements Sheet {
  readonly element = el("div", { class: "stage" });
  readonly unsaved = false;
  readonly edits = null;
  readonly #status = el("p", { class: "status", role: "status" }, t("Loading the images\u2026"));
  readonly #found = el("ul", { class: "found", "aria-label": t("What the model says") });
  readonly #radiographs = new Radiographs();

  constructor(
    private readonly xnat: XnatClient,
    private readonly examId: string,
    /** What the model found is shown: the arm says it, or the answer is given. */
    private aided: boolean,
    /** Which result is meant, where the exam may have several. */
    private readonly resultId = "",
  ) {
    show(this.element, this.#found, this.#status, this.#radiographs.element);
    this.#found.hidden = true;
  }

  async start(): Promise<void> {
    const [files, findings] = await Promise.all([
      loadImageFiles(this.xnat, this.examId),
      this.aided ? loadFindings(this.xnat, this.examId, this.resultId) : null,
    ]);
    const loaded = await Promise.all(files.map(async (file) => this.#image(file.path)));
    const images = loaded.filter((each): each is Radiograph => typeof each !== "string");
    const broken = loaded.filter((each): each is string => typeof each === "string");
    this.#radiographs.load(images, findings ?? []);
    this.#showFindings(findings);
    this.#status.hidden = broken.length === 0 && images.length > 0;
    this.#status.className = "status failed";
    this.#status.textContent =
      images.length === 0
        ? t("This case has no image that can be shown. Tell the study's coordinator its code.")
        : t("{count} of {all} images cannot be shown: {why}", {
            count: broken.length,
            all: loaded.length,
            why: [...new Set(broken)].join(" "),
          });
  }

  /** Show what was withheld until now. */
  async reveal(): Promise<void> {
    if (this.aided) return;
    this.aided = true;
    const findings = await loadFindings(this.xnat, this.examId, this.resultId);
    this.#radiographs.mark(findings ?? []);
    this.#showFindings(findings);
  }

  async #image(path: string): Promise<Radiograph | string> {
    try {
      return readRadiograph(await this.xnat.bytes(path));
    } catch (error) {
      if (error instanceof NoRadiograph) return error.message;
      throw error;
    }
  }

  #showFindings(findings: readonly Finding[] | null): void {
    this.#found.hidden = !this.aided;
    if (!this.aided) return;
    const lines = (findings ?? []).map((each) =>
      el("li", { "data-side": each.side, "data-class": each.class }, findingWords(each)),
    );
    const none = findings === null ? t("The model has no result for this case.") : t("The model found nothing.");
    show(this.#found, ...(lines.length > 0 ? lines : [el("li", { class: "quiet" }, none)]));
  }
}
