"""APDUs, status words, and the one thing a card is to the rest: `transmit`."""
