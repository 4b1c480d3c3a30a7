"""Our encoders as other people's benchmarks want them; docs/judged.md.

The other way round, their models judged by us, is `audioinv.audio.hear`.
"""
