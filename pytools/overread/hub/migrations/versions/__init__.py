"""One module per version of the tables, each with what leads to it from the version before."""
