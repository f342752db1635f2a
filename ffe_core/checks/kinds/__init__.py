"""Kinds of checks, one small file each."""
