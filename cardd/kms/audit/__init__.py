"""The record of what the key service did: chained lines that show when they were touched."""
