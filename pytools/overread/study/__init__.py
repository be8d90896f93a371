"""Decisions about a study: manifest, arrival, selection, completion, progression. Pure."""
