"""A data set at a time: what a model makes of every picture, as Parquet, on one machine or on a cluster of Ray.

`sources` lists the pictures in numbered chunks, `measures` says what is recorded of a picture, `worker` makes one part
of the table of one chunk, `engines` hands chunks to workers, `parts` keeps what is finished, `analyse` puts these
together. A chunk is the unit of everything: what runs at once, what is written at once and what a stopped run repeats.
"""
