import "../styles/review.css";
import "../styles/read.css";
import { app } from "../ui/dom";
import { t } from "../ui/i18n";
import { asked, showMessage, startPage } from "../ui/shell";
import { XnatClient } from "../xnat/client";
import { loadModeChanges } from "../xnat/modes";
import { loadManifest } from "../xnat/studies";
import { loadProgress } from "../xnat/worklist";
import { showProgress } from "./page";

async function main(): Promise<void> {
  const project = asked("project");
  if (project === "") {
    showMessage(t("Which study?"), t("The address names the study's project: /overread/progress?project=\u2026"));
    return;
  }
  document.title = `${t("Progress")} - ${project} - Overread`;
  const xnat = new XnatClient();
  const progress = await loadProgress(xnat, project);
  const [{ mode }, changes] = await Promise.all([loadManifest(xnat, project), loadModeChanges(xnat, project)]);
  showProgress(app(), { project, progress, mode, changes });
}

startPage(main);
