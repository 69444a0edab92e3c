"""Label images out: one format a file; `napari_salt.io.export` chooses among them."""
