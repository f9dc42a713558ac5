"""The commands of a DESFire, a group a file: one method per command, each an exchange."""
