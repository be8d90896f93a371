import "../styles/review.css";
import "../styles/longitudinal.css";
import "../styles/read.css";
import "../styles/correcting.css";
import { app } from "../ui/dom";
import { asked, showMessage, startPage } from "../ui/shell";
import { t } from "../ui/i18n";
import { loadLogin } from "../xnat/answers";
import { XnatClient } from "../xnat/client";
import { loadReview } from "./data";
import { FindingsPage } from "./findings-page";
import { ReviewPage } from "./page";

async function main(): Promise<void> {
  const [project, experiment] = [asked("project"), asked("experiment")];
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
  else await new ReviewPage(app(), xnat, data, login, new URLSearchParams(window.location.search)).start();
}

startPage(main);
