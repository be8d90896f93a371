"""Turns schemas into XNAT plugin jars."""
