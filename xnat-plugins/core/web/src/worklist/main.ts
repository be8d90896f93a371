import "../styles/review.css";
import "../styles/read.css";
import { app } from "../ui/dom";
import { t } from "../ui/i18n";
import { asked, showMessage, startPage } from "../ui/shell";
import { XnatClient } from "../xnat/client";
import { loadWorklist } from "../xnat/worklist";
import { WorklistPage } from "./page";

async function main(): Promise<void> {
  const project = asked("project");
  if (project === "") {
    showMessage(
      t("Whose worklist?"),
      t("The address of a worklist names its project: /overread/worklist?project=\u2026"),
    );
    return;
  }
  const xnat = new XnatClient();
  const worklist = await loadWorklist(xnat, project);
  document.title = `${t("Worklist")} - ${worklist.title} - Overread`;
  await new WorklistPage(app(), xnat, worklist).start();
}

startPage(main);
