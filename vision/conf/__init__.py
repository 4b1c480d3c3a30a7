"""Hydra groups of the modality `image`; those of `audioinv.conf` stand behind them."""
