"""Everything that knows readers: PC/SC, the built-in virtual reader, and what watches them."""
