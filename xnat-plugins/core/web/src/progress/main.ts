import "../styles/base.css";
import "../styles/review.css";
import "../styles/read.css";
import { app } from "../ui/dom";
import { chooseLanguage, t } from "../ui/i18n";
import { chooseTheme } from "../ui/settings";
import { runPage, showMessage } from "../ui/trouble";
import { XnatClient } from "../xnat/client";
import { loadProgress } from "../xnat/worklist";
import { showProgress } from "./page";

async function main(): Promise<void> {
  chooseLanguage();
  chooseTheme();
  const project = new URLSearchParams(window.location.search).get("project") ?? "";
  if (project === "") {
    showMessage(t("Which study?"), t("The address names the study's project: /overread/progress?project=\u2026"));
    return;
  }
  document.title = `${t("Progress")} - ${project} - Overread`;
  showProgress(app(), project, await loadProgress(new XnatClient(), project));
}

void runPage(main, () => window.location.pathname + window.location.search);
