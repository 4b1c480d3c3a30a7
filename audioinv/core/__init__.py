"""The method, for any modality: descriptors, banks, conditioned encoders, pre-training, adaptation."""
