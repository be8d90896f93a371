import "../styles/base.css";
import "../styles/review.css";
import { app } from "../ui/dom";
import { runPage, showMessage } from "../ui/trouble";
import { XnatClient } from "../xnat/client";
import { loadReview } from "./data";
import { ReviewPage } from "./page";

async function main(): Promise<void> {
  const query = new URLSearchParams(window.location.search);
  const project = query.get("project") ?? "";
  const experiment = query.get("experiment") ?? "";
  if (project === "" || experiment === "") {
    showMessage(
      "Which exam?",
      "The address of a review names a project and an exam: /overread/review?project=…&experiment=…",
    );
    return;
  }
  const xnat = new XnatClient();
  const data = await loadReview(xnat, project, experiment);
  document.title = `Review ${data.exam.date} - Overread`;
  await new ReviewPage(app(), xnat, data).start();
}

void runPage(main, () => window.location.pathname + window.location.search);
