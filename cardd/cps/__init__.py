"""CPS and CPE cards: the driver of each generation, behind one interface, without I/O."""
