import "../styles/admin.css";
import "../styles/admin-forms.css";
import { app } from "../ui/dom";
import { runPage } from "../ui/shell";
import { XnatClient } from "../xnat/client";
import { Administration, loadWho } from "./frame";

async function main(): Promise<void> {
  const xnat = new XnatClient();
  new Administration(app(), xnat, await loadWho(xnat)).start();
}

void runPage(main, () => window.location.pathname + window.location.hash);
