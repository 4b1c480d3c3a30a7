"""What can be set of each part of the core; without torch, so that help need not wait for it."""
