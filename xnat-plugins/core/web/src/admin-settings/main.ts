/** Settings of a study: in the hub by its address, in XNAT in a frame of Administer > Plugin Settings. */

import "../styles/admin.css";
import "../styles/admin-forms.css";
import { facts, section } from "../admin/kit/page";
import { Form } from "../admin/kit/form";
import { app, el, show } from "../ui/dom";
import { runPage, showMessage } from "../ui/shell";
import { XnatClient } from "../xnat/client";
import { loadStudies, type Mode, type StudyPlace } from "../xnat/studies";
import {
  type Button,
  type Kept,
  loadButton,
  loadKept,
  newSecret,
  removeSecret,
  setMode,
  setSecret,
  setThreshold,
} from "./store";

const context = { signal: new AbortController().signal };
const MODES: readonly (readonly [Mode, string])[] = [
  ["shadow", "shadow: readers don't see results"],
  ["assist", "assist: readers see them"],
  ["live", "live: they also leave the hub"],
];

/** `?study=brain-tumor`, or `?brain-tumor`: XNAT's spawner cuts an address at its first "=". */
export function studyIn(search: string): string {
  const query = new URLSearchParams(search);
  return query.get("study") ?? [...query.keys()][0] ?? "";
}

async function main(): Promise<void> {
  const id = studyIn(window.location.search);
  const xnat = new XnatClient();
  const studies = await loadStudies(xnat);
  const study = studies.find((each) => each.id === id);
  if (study === undefined) {
    const known = studies.map((each) => each.id).join(", ") || "none";
    showMessage("Which study?", `The address names a study: /overread/settings?study=ID. Here are: ${known}.`);
    return;
  }
  document.title = `Settings of ${study.title} - Overread`;
  await render(xnat, study);
}

async function render(xnat: XnatClient, study: StudyPlace): Promise<void> {
  const [kept, button] = await Promise.all([loadKept(xnat, study.project), loadButton(xnat, study.project)]);
  const again = (): Promise<void> => render(xnat, study);
  show(
    app(),
    el(
      "main",
      { class: "study-settings" },
      el("h1", {}, study.title),
      kept.manifestPct === null ? null : threshold(xnat, study, kept),
      mode(xnat, study, kept),
      secret(xnat, study, button, again),
    ),
  );
}

function threshold(xnat: XnatClient, study: StudyPlace, kept: Kept): HTMLElement {
  const manifest = `The manifest says ${kept.manifestPct} %.`;
  const form = new Form(context, {
    fields: [
      {
        name: "pct",
        label: "Growth over the baseline that counts, in percent",
        kind: "number",
        value: String(kept.setPct ?? kept.manifestPct),
        hint: `${manifest} Empty: as the manifest says. Holds for the review pages and for reports made from now on.`,
      },
    ],
    action: "Save threshold",
    submit: async (values) => {
      const text = (values["pct"] ?? "").trim();
      await setThreshold(xnat, study.project, text === "" ? null : Number(text));
      return text === "" ? `Saved. ${manifest}` : `Saved: ${Number(text)} %.`;
    },
  });
  form.control("pct").setAttribute("step", "any");
  return section("Threshold", form.element);
}

function mode(xnat: XnatClient, study: StudyPlace, kept: Kept): HTMLElement {
  const form = new Form(context, {
    fields: [
      { name: "mode", label: "Mode", kind: "choice", value: kept.mode, options: MODES },
      {
        name: "reason",
        label: "Why",
        required: true,
        hint: "Kept with the change, with your name and the time. In shadow nobody but owners keeps a role in the project.",
      },
    ],
    action: "Change mode",
    submit: async (values) => {
      const done = await setMode(xnat, study.project, values["mode"] as Mode, values["reason"] ?? "");
      return `${done.join("; ")}. Write the mode into study.yaml as well: apply refuses another one.`;
    },
  });
  return section("Mode", form.element);
}

function secret(xnat: XnatClient, study: StudyPlace, button: Button | null, again: () => Promise<void>): HTMLElement {
  const address = `/overread/open?study=${study.id}&uid={StudyInstanceUID}`;
  if (button === null) {
    const text =
      "This server can't check signatures for you: you are no administrator, or its core plugin was built without the WAR.";
    return section("PACS button", facts([["Address", address]]), el("p", { class: "quiet" }, text));
  }
  const state = button.signed
    ? `signed addresses only; the secret's fingerprint is ${button.fingerprint}`
    : "any; who opens one still logs in, and needs a role in the project";
  const form = new Form(context, {
    fields: [
      {
        name: "secret",
        label: "New secret",
        kind: "password",
        required: true,
        hint: "20 to 256 letters, digits and signs. It goes into the PACS, and is never shown again: note it now.",
      },
    ],
    action: "Save secret",
    submit: async (values) => {
      const saved = await setSecret(xnat, study.project, values["secret"] ?? "");
      form.control("secret").value = "";
      return `Saved; its fingerprint is ${saved?.fingerprint ?? ""}. Addresses that are not signed with it are refused.`;
    },
    more: [
      plainButton("Make one", () => {
        const control = form.control("secret");
        control.setAttribute("type", "text");
        control.value = newSecret();
        (control as HTMLInputElement).select();
      }),
      plainButton(
        "Remove secret",
        () => void removeSecret(xnat, study.project).then(again, (error: unknown) => form.status.failed(error)),
      ),
    ],
  });
  return section(
    "PACS button",
    facts([
      ["Address", button.signed ? `${address}&expires={seconds since 1970}&signature={hex}` : address],
      ["Opened are", state],
    ]),
    form.element,
  );
}

function plainButton(label: string, action: () => void): HTMLButtonElement {
  const button = el("button", { type: "button" }, label);
  button.addEventListener("click", action);
  return button;
}

void runPage(main, () => window.location.pathname + window.location.search);
