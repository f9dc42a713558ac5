"""The HTTP faces of the daemon: one socket for agents, one for administrators."""
