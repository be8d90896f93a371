/** German texts of the page that the PACS button opens, of what is wrong with a form's answers, and of trouble. */

export const GERMAN_OPEN: Readonly<Record<string, string>> = {
  "Try again": "Noch einmal versuchen",
  "This did not work": "Das hat nicht geklappt",
  "Tick this.": "Bitte ankreuzen.",
  "Answer this.": "Bitte beantworten.",
  "Give a number.": "Bitte eine Zahl angeben.",
  "At least {number}.": "Mindestens {number}.",
  "At most {number}.": "Höchstens {number}.",
  "At most {most} characters; this has {count}.": "Höchstens {most} Zeichen; es sind {count}.",
  "Choose one of the answers.": "Bitte eine der Antworten wählen.",
  "Which study?": "Welche Studie?",
  "The button's address names no study. It should be /overread/open?study=<id>&uid=<Study Instance UID>; ask the PACS administrator to mend it.":
    "Die Adresse des Knopfes nennt keine Studie. Sie sollte /overread/open?study=<id>&uid=<Study Instance UID> lauten; bitte den PACS-Administrator, sie zu berichtigen.",
  "Ask the PACS administrator to mend the button.": "Bitte den PACS-Administrator, den Knopf zu berichtigen.",
  "This address is not opened": "Diese Adresse wird nicht geöffnet",
  "It is not signed, and this study takes signed addresses only. Ask the PACS administrator to mend the button.":
    "Sie ist nicht unterschrieben, und diese Studie nimmt nur unterschriebene Adressen. Bitte den PACS-Administrator, den Knopf zu berichtigen.",
  "Its signature is wrong. Ask the PACS administrator to mend the button.":
    "Ihre Unterschrift ist falsch. Bitte den PACS-Administrator, den Knopf zu berichtigen.",
  "It has expired. Use the button in the PACS again.":
    "Sie ist abgelaufen. Bitte den Knopf im PACS noch einmal drücken.",
  "Opening the exam": "Die Untersuchung wird geöffnet",
  "Looking it up…": "Wird gesucht …",
  "The exam did not come": "Die Untersuchung kam nicht",
  "It has not arrived within an hour. Check in the PACS that it was sent to the study's node, then use the button again.":
    "Sie ist seit einer Stunde nicht angekommen. Im PACS nachsehen, ob sie an den Knoten der Studie geschickt wurde, dann den Knopf noch einmal drücken.",
  "The exam is arriving": "Die Untersuchung kommt gerade an",
  "The exam is not here yet": "Die Untersuchung ist noch nicht da",
  "Which of these exams?": "Welche dieser Untersuchungen?",
  "{count} exams have this number.": "{count} Untersuchungen haben diese Nummer.",
  "The button's address names no exam. It should end in &uid=<Study Instance UID> or &accession=<number>.":
    "Die Adresse des Knopfes nennt keine Untersuchung. Sie sollte mit &uid=<Study Instance UID> oder &accession=<Nummer> enden.",
  "Unknown study": "Unbekannte Studie",
  "Open the images now": "Bilder jetzt öffnen",
  "It has arrived; the model is at work.": "Sie ist angekommen; das Modell arbeitet.",
  "The exam is being processed": "Die Untersuchung wird verarbeitet",
  "The review opens by itself when there is a result.":
    "Die Befundung öffnet sich von selbst, sobald es ein Ergebnis gibt.",
  "It has arrived; XNAT says: {status}.": "Sie ist angekommen; XNAT meldet: {status}.",
  "It has arrived; the model is at work, {pct} % done.": "Sie ist angekommen; das Modell arbeitet, {pct} % fertig.",
  "The model could not process this exam": "Das Modell konnte diese Untersuchung nicht verarbeiten",
  "XNAT says: {why}. The images can be reviewed without a result; tell the study's coordinator.":
    "XNAT meldet: {why}. Die Bilder lassen sich ohne Ergebnis ansehen; bitte der Studienleitung melden.",
  "No result yet": "Noch kein Ergebnis",
  "The model has not finished with this exam. The images can be reviewed without a result.":
    "Das Modell ist mit dieser Untersuchung nicht fertig. Die Bilder lassen sich ohne Ergebnis ansehen.",
  "this Study Instance UID": "dieser Study Instance UID",
  "this accession number": "dieser Accession Number",
  "{study} has no exam with {named} that you may see.":
    "{study} hat keine Untersuchung mit {named}, die Sie sehen dürfen.",
  "1 exam is arriving just now; it may be among them.": "1 Untersuchung kommt gerade an; vielleicht ist sie es.",
  "{count} exams are arriving just now; it may be among them.":
    "{count} Untersuchungen kommen gerade an; vielleicht ist sie darunter.",
  "If it was not sent yet, send it from the PACS to the study's node.":
    "Falls sie noch nicht geschickt wurde: im PACS an den Knoten der Studie schicken.",
  'This site has no study "{study}".': "Hier gibt es keine Studie „{study}“.",
  "No study is applied to this site yet.": "Hier ist noch keine Studie eingerichtet.",
  "Studies of this site: {known}.": "Studien hier: {known}.",
  "This page looks again by itself.": "Diese Seite sieht von selbst wieder nach.",
  "Images are coming in.": "Bilder treffen ein.",
  "All images are in; XNAT is sorting them.": "Alle Bilder sind da; XNAT ordnet sie.",
  "All images are in; XNAT is about to archive them.": "Alle Bilder sind da; XNAT archiviert sie gleich.",
  "XNAT is archiving the images.": "XNAT archiviert die Bilder.",
  "XNAT cannot archive the images: they contradict an exam that is there. An administrator must decide in the prearchive.":
    "XNAT kann die Bilder nicht archivieren: Sie widersprechen einer vorhandenen Untersuchung. Ein Administrator muss im Prearchive entscheiden.",
  "XNAT cannot archive the images. An administrator must look at them in the prearchive.":
    "XNAT kann die Bilder nicht archivieren. Ein Administrator muss sie im Prearchive ansehen.",
  "XNAT says: {status}.": "XNAT meldet: {status}.",
  "The address holds no valid Study Instance UID.": "Die Adresse enthält keine gültige Study Instance UID.",
  "The address holds no valid accession number.": "Die Adresse enthält keine gültige Accession Number.",
};
