"""Clips by what they are like under a descriptor: an index, and a page to hear it."""
