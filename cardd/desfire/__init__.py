"""MIFARE DESFire EV1 and later, sans-I/O: exchanges yield command APDUs and take the answers."""
