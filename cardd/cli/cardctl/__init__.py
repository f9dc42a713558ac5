"""cardctl: what people and scripts ask of cardd."""
