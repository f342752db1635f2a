"""Coverage of many series as a run: what data files hold is read where there is room, and kept for every console."""
