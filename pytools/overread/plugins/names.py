"""Names that XNAT or its database has taken already."""

from __future__ import annotations

# Schema files are told apart by their file name alone: a second one of a name is ignored without a word.
RESERVED_FILES = frozenset(
    {
        "xnat.xsd", "xdat.xsd", "build.xsd", "display.xsd", "instance.xsd", "PlexiViewer.xsd", "roi.xsd", "icr.xsd",
        "assessments.xsd", "catalog.xsd", "security.xsd", "workflow.xsd", "project.xsd", "provenance.xsd",
        "protocol.xsd", "screeningAssessment.xsd", "pipelineData.xsd", "pipelineRepository.xsd", "scr.xsd", "arc.xsd",
        "prov.xsd",
    }
)  # fmt: skip
RESERVED_PREFIXES = frozenset(
    {"xnat", "xdat", "xs", "xsi", "xml", "icr", "arc", "cat", "pipe", "prov", "scr", "val", "wrk", "opt", "behavioral"}
)

# Elements of xnat:imageAssessorData and what it extends. XML has attributes apart from elements, so XNAT's attributes
# `original` and `version` are no clash; ID, project and label are, since REST reads them by these names.
INHERITED = frozenset(
    {
        "sharing", "date", "time", "duration", "delay", "note", "investigator", "validation", "resources", "fields",
        "acquisition_site", "custom_fields", "provenance", "image_session_id", "in", "out", "parameters", "id",
        "project", "label", "visit", "visit_id", "protocol",
    }
)  # fmt: skip

# Columns that every list of experiments has; the display document gives them these ids.
RESERVED_DISPLAY_IDS = frozenset(
    {"EXPT_ID", "RPT", "DATE", "PROJECT", "PROJECTS", "LABEL", "INSERT_DATE", "INSERT_USER", "SESSION_ID", "SUBJECT_ID"}
)

# Reserved words of PostgreSQL 16 (appendix C, "reserved" and "reserved (can be function or type)").
SQL_WORDS = frozenset(
    {
        "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary",
        "both", "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create",
        "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
        "current_timestamp",
        "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "fetch",
        "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike", "in", "initially", "inner",
        "intersect", "into", "is", "isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime",
        "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only", "or", "order", "outer",
        "overlaps", "placing", "primary", "references", "returning", "right", "select", "session_user", "similar",
        "some", "symmetric", "system_user", "table", "tablesample", "then", "to", "trailing", "true", "union", "unique",
        "user", "using", "variadic", "verbose", "when", "where", "window", "with",
    }
)  # fmt: skip
