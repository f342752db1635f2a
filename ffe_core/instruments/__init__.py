"""Instruments: what is traded, what each provider calls it, and the one name under which it is stored."""
