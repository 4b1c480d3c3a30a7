"""audioinv: one self-supervised audio encoder, many invariances."""

__version__ = "0.1.0"
