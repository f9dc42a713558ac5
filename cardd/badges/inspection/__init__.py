"""What there is to say about a badge: facts in, findings out. Rules without I/O."""
