"""Hydra groups of sounds; those of `audioinv.conf`, which any modality has, stand behind them."""
