"""What a proof is worth, and the signed statement of it."""
