"""MIFARE DESFire, sans-I/O: exchanges yield command APDUs and take the answers."""
