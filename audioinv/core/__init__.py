"""The method, for any modality: descriptors, banks, encoders, pre-training, adaptation."""
