"""The domain rules of holders and badges, without I/O."""
