/** Who, when, by what model, and what it must not be used for. */

import { el } from "../ui/dom";
import type { Exam } from "../xnat/exams";
import type { Result } from "../xnat/results";
import type { Manifest, Mode } from "../xnat/studies";

const BANNERS: Record<Mode, string> = {
  shadow: "Shadow mode. Research use: not for clinical decisions",
  assist: "Research use: not for clinical decisions",
  live: "",
};

export function banner(mode: Mode): HTMLElement | null {
  return BANNERS[mode] === "" ? null : el("p", { class: "banner", role: "note" }, BANNERS[mode]);
}

export function header(manifest: Manifest, exam: Exam, ai: Result | null, status: string): HTMLElement {
  return el(
    "header",
    { class: "top" },
    el("h1", {}, manifest.title),
    el(
      "dl",
      { class: "facts" },
      ...fact(
        "Patient",
        [exam.patientName, exam.patientId].filter((part) => part !== "").join(" \u00B7 ") || "not given",
      ),
      ...fact("Exam", [exam.date || "no date", exam.modality].filter((part) => part !== "").join(" \u00B7 ")),
      ...fact("Model", ai === null ? "" : `${ai.modelName} ${ai.modelVersion}`.trim()),
      ...fact("Status", status),
    ),
    banner(manifest.mode),
  );
}

function fact(name: string, value: string): HTMLElement[] {
  return value === "" ? [] : [el("div", {}, el("dt", {}, name), el("dd", { "data-fact": name.toLowerCase() }, value))];
}
