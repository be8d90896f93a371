"""The embedded hub: a small server that answers as XNAT does."""
