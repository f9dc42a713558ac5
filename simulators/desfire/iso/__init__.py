"""The ISO 7816-4 commands of a DESFire (class 00): another way to the same files and keys."""
