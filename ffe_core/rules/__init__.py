"""Rules of one's own: what each bar of some series has to hold, in a readable file."""
