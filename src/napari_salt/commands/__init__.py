"""Subcommands of ``napari-salt``: one file each, imported when it runs."""
