"""Reader studies on a server: each reader's own project, copies of cases, answers, progress; by XNAT's REST alone."""
