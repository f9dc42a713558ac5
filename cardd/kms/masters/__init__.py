"""Where the master keys live: one backend per file, one contract for all (cardd.kms.ports)."""
