import "../styles/base.css";
import "../styles/review.css";
import "../styles/longitudinal.css";
import "../styles/read.css";
import "../styles/correcting.css";
import { app } from "../ui/dom";
import { runPage, showMessage } from "../ui/trouble";
import { chooseLanguage, t } from "../ui/i18n";
import { chooseTheme } from "../ui/settings";
import { loadLogin } from "../xnat/answers";
import { XnatClient } from "../xnat/client";
import { loadReview } from "./data";
import { FindingsPage } from "./findings-page";
import { ReviewPage } from "./page";

async function main(): Promise<void> {
  chooseLanguage();
  chooseTheme();
  const query = new URLSearchParams(window.location.search);
  const project = query.get("project") ?? "";
  const experiment = query.get("experiment") ?? "";
  if (project === "" || experiment === "") {
    showMessage(
      t("Which exam?"),
      t("The address of a review names a project and an exam: /overread/review?project=…&experiment=…"),
    );
    return;
  }
  const xnat = new XnatClient();
  const [data, login] = await Promise.all([loadReview(xnat, project, experiment), loadLogin(xnat)]);
  document.title = `${t("Review {date}", { date: data.exam.date })} - Overread`;
  if (data.manifest.page === "findings") await new FindingsPage(app(), xnat, data, login).start();
  else await new ReviewPage(app(), xnat, data, login, query).start();
}

void runPage(main, () => window.location.pathname + window.location.search);
