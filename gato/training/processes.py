"""Several processes, on one machine or many, as one run."""

import jax

# After this long without a heartbeat of one process the others end too, so that a scheduler restarts all of them. The
# default of JAX is 100 s.
_HEARTBEAT_TIMEOUT_S = 20


def join_processes(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins this process to a run; must come before any other use of JAX.

    Args:
        coordinator: host:port of the first process. If all three are None, JAX takes them from the scheduler: SLURM,
            Kubernetes, a TPU pod or Open MPI.
        num_processes: how many there are.
        process_id: which one this is, from 0.

    Raises:
        ValueError: some of the three are given and others not, or no scheduler that JAX knows started this process.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if any(given) and not all(given):
        raise ValueError(
            f"coordinator is {coordinator!r}, num_processes {num_processes!r} and process_id {process_id!r}: give all "
            "three, or none where a scheduler provides them"
        )
    jax.distributed.initialize(coordinator, num_processes, process_id, heartbeat_timeout_seconds=_HEARTBEAT_TIMEOUT_S)
