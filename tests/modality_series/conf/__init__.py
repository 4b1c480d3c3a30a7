"""The Hydra groups of series; the others are those of `audioinv.conf`."""
