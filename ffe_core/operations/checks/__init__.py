"""Checks as verbs: run them as a run like others, accept findings with a reason, open them again."""
