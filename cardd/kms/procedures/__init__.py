"""The procedures that the KMS drives on a badge: one generator each, without I/O."""
