"""Whether a registry is as cardd wrote it: its rows, what refers to what, what the audit says."""
