"""Image experiments on the core: a kornia bank, a front end and corpora, beside `audioinv`."""
