"""The version of audioinv, where everything below the public face finds it."""

__version__ = "0.2.0.dev0"
