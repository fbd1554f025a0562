"""Several test processes share few cores. If each library also starts a thread for each core, they wait for each other,
and a pass of CCT-7/3x1 in NumPy takes ten times the processor time. Imported before NumPy, which reads this once."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(_name, "1")
