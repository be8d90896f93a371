/** Who, when, by what model, and what it must not be used for. */

import { el } from "../ui/dom";
import { t } from "../ui/i18n";
import { settingsMenu } from "../ui/settings";
import { modeFact } from "../xnat/modes";
import type { Result } from "../xnat/results";
import type { Mode } from "../xnat/studies";
import type { ReviewData } from "./data";

const BANNERS: Record<Mode, string> = {
  shadow: "Shadow mode. Research use: not for clinical decisions",
  assist: "Research use: not for clinical decisions",
  live: "",
};

export function banner(mode: Mode): HTMLElement | null {
  return BANNERS[mode] === "" ? null : el("p", { class: "banner", role: "note" }, t(BANNERS[mode]));
}

export function header(
  { manifest, modes, exam }: Pick<ReviewData, "manifest" | "modes" | "exam">,
  ai: Result | null,
  status: string,
  progress: HTMLElement | null = null,
): HTMLElement {
  return el(
    "header",
    { class: "top" },
    el("h1", {}, manifest.title),
    el(
      "dl",
      { class: "facts" },
      ...fact(
        "patient",
        t("Patient"),
        [exam.patientName, exam.patientId].filter((part) => part !== "").join(" \u00B7 ") || t("not given"),
      ),
      ...fact(
        "exam",
        t("Exam"),
        [exam.date || t("no date"), exam.modality].filter((part) => part !== "").join(" \u00B7 "),
      ),
      ...fact("model", t("Model"), ai === null ? "" : `${ai.modelName} ${ai.modelVersion}`.trim()),
      ...fact("status", t("Status"), status),
      ...fact("mode", t("Mode"), modeFact(manifest.mode, modes, ai?.storedAt ?? null)),
    ),
    progress,
    banner(manifest.mode),
    settingsMenu(),
  );
}

function fact(key: string, name: string, value: string): HTMLElement[] {
  return value === "" ? [] : [el("div", {}, el("dt", {}, name), el("dd", { "data-fact": key }, value))];
}
