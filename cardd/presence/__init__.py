"""Who is at this workstation: taps, operations, presences and the events about them."""
