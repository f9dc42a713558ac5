"""The key management service: it drives badges, holds their keys, and signs what it saw."""
