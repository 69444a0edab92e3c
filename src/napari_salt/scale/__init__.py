"""The same prediction task on many workers, by dask.distributed."""
