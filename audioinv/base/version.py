"""The version of audioinv, where everything below the public face finds it."""

__version__ = "0.1.0"
