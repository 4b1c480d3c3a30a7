"""Other people's networks with their own weights, to stand beside an encoder of ours in one table.

The packages bring their weights, so that nothing is downloaded: pip install 'audioinv[rivals]'.
"""
