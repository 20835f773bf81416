"""One matrix over many workers: each holds some of its rows, and an iteration adds up what all of them say."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._storage import Storage

Array = npt.NDArray[Any]

#: Blocks into which the rows are shared out, at the least, and the bytes of one at the most. They do not depend on the
#: number of workers, so that neither do the bits of the result.
N_BLOCKS = 64
BLOCK_BYTES = 256 << 20

#: Iterations from one look at the divergence to the next.
CHECK_EVERY = 10

BETAS = {"kullback-leibler": 1.0, "frobenius": 2.0, "itakura-saito": 0.0}


@dataclass
class DistributedFactorization:
    """X (n_samples x n_features) as W (n_samples x n_components) times ``components_``."""

    components_: Array
    """H, n_components x n_features."""
    activations: Array | str
    """W, n_samples x n_components, or the name of the file that holds it."""
    n_iter_: int
    """Iterations done."""
    divergence: float
    """The beta-divergence of X from W H, unnormalized."""
    divergence_curve: list[tuple[int, float]]
    """(iteration, divergence) at each look."""
    n_recovered: int = 0
    """Blocks that were found again after their worker died."""


def factorize(
    x: str | os.PathLike[str] | Array,
    n_components: int,
    *,
    beta_loss: str | float = "kullback-leibler",
    max_iter: int = 200,
    tol: float = 1e-4,
    random_state: int = 0,
    n_workers: int | None = None,
    num_cpus: float = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 10,
    resume: bool = False,
    output: str | os.PathLike[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Callable[[int, float | None], object] | None = None,
) -> DistributedFactorization:
    """Factorizes a matrix that no machine has the memory for, by multiplicative updates on a Ray cluster.

    Each worker holds blocks of rows of X and their rows of W. An iteration improves these, and adds up, block after
    block in their order, what the update of H divides by what. So the result has the same bits for any number of
    workers, and also when workers or nodes die: their blocks go to others, who begin from the last checkpoint (or from
    the start) and repeat the iterations since.

    Parameters
    ----------
    x : str, path or array, n_samples x n_features
        A ``.npy`` file of float32 or float64 in C order, on a disk that all nodes share or in a store that fsspec
        knows; or an array in memory, which is sent to the workers.
    n_components : int
        Number of components.
    beta_loss : {"kullback-leibler", "frobenius", "itakura-saito"} or float
        The beta-divergence that is made small.
    max_iter : int
        Iterations at the most.
    tol : float
        Ends the fit when the divergence fell by less than this share of its first value in ten iterations; 0 never
        does.
    random_state : int
        Seed of the start.
    n_workers : int, optional
        Workers; as many as the cluster has room for where it is not given.
    num_cpus : float
        CPUs, and threads, of each worker.
    checkpoint : str or path, optional
        Folder, on a shared disk or in a store, for what is known after every `checkpoint_every` iterations. Without
        one, a lost block repeats all iterations, and all dictionaries since the start are kept for it.
    resume : bool
        Go on from the checkpoint of a run that ended early.
    output : str or path, optional
        ``.npy`` file for W; it is returned where none is given.
    storage_options : mapping, optional
        What fsspec is given to open a store.
    progress : callable, optional
        Is given the iteration and, where it was computed, the divergence.

    Returns
    -------
    DistributedFactorization

    Raises
    ------
    ValueError
        For a matrix with a negative, NaN or infinite entry, and settings out of range.

    References
    ----------
    C. Liu, H.-c. Yang, J. Fan, L.-W. He and Y.-M. Wang, "Distributed nonnegative matrix factorization for web-scale
    dyadic data analysis on MapReduce", WWW 2010.
    """
    import ray

    storage = Storage(dict(storage_options or {}))
    beta = BETAS.get(beta_loss, None) if isinstance(beta_loss, str) else float(beta_loss)
    if beta is None:
        raise ValueError(f"`beta_loss` is {beta_loss!r}; use one of {', '.join(BETAS)}, or a number")
    for name, value, least in [
        ("n_components", n_components, 1),
        ("max_iter", max_iter, 1),
        ("checkpoint_every", checkpoint_every, 1),
    ]:
        if value < least:
            raise ValueError(f"`{name}` is {value}; it has to be at least {least}")
    if resume and checkpoint is None:
        raise ValueError("`resume` needs the `checkpoint` of the run that it goes on with")
    if not ray.is_initialized():
        ray.init()
    source = Matrix.of(x, storage)
    work = Work(
        source, n_components, beta, random_state, None if checkpoint is None else os.fspath(checkpoint), storage
    )
    crew = Crew(work, n_workers or max(1, int(ray.cluster_resources().get("CPU", 1) / num_cpus)), num_cpus)
    try:
        return _fit(crew, work, max_iter, tol, checkpoint_every, resume, output, progress)
    finally:
        crew.dismiss()


def _fit(
    crew: Crew,
    work: Work,
    max_iter: int,
    tol: float,
    checkpoint_every: int,
    resume: bool,
    output: str | os.PathLike[str] | None,
    progress: Callable[[int, float | None], object] | None,
) -> DistributedFactorization:
    state = work.load_state() if resume else None
    sums = crew.ask("sum")
    n_entries = work.matrix.n_rows * work.matrix.n_columns
    work.mean = sum(sums[block] for block in range(work.n_blocks)) / n_entries
    first = work.kind.start(work.matrix.n_columns, work.n_components, work.mean, work.seed)
    components, n_done = np.ascontiguousarray(first.T), 0
    curve: list[tuple[int, float]] = []
    if state is not None:
        components, n_done, curve = state.components, state.n_iter, state.curve
    crew.begin(n_done)
    if not curve:
        curve = [(0, crew.total("divergence", components))]
    for n_iter in range(n_done + 1, max_iter + 1):
        if len(curve) > 1 and tol > 0 and curve[-1][0] == n_iter - 1:
            if curve[-2][1] - curve[-1][1] < tol * curve[0][1]:
                break
        statistics = crew.ask("step", components)
        numerator, denominator = (np.array(part) for part in statistics[0])
        for block in range(1, work.n_blocks):
            numerator += statistics[block][0]
            denominator += statistics[block][1]
        crew.remember(components)
        components = work.kind.improved(components, numerator, denominator, work.beta)
        n_done = n_iter
        if n_iter % CHECK_EVERY == 0 or n_iter == max_iter:
            curve.append((n_iter, crew.total("divergence", components)))
        if work.checkpoint is not None and n_iter % checkpoint_every == 0:
            crew.ask("save", n_iter)
            work.save_state(State(components, n_iter, curve))
            crew.forget(n_iter)
        if progress is not None:
            progress(n_iter, curve[-1][1] if curve[-1][0] == n_iter else None)
    activations = _gathered(crew, work, output)
    return DistributedFactorization(components, activations, n_done, curve[-1][1], curve, crew.n_recovered)


def _gathered(crew: Crew, work: Work, output: str | os.PathLike[str] | None) -> Array | str:
    """W: in memory, or in a file, block after block."""
    shape = (work.matrix.n_rows, work.n_components)
    if output is None:
        whole = np.empty(shape, work.matrix.dtype)
        for block in range(work.n_blocks):
            whole[work.rows(block)] = crew.ask("activations", blocks=[block])[block]
        return whole
    name = os.fspath(output)
    folder = None if work.storage.is_remote(name) else work.storage.local(name).parent
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partita-", dir=folder) as scratch:
        file = Path(scratch, "activations.npy")
        mapped = np.lib.format.open_memmap(file, "w+", dtype=work.matrix.dtype, shape=shape)
        for block in range(work.n_blocks):
            mapped[work.rows(block)] = crew.ask("activations", blocks=[block])[block]
        mapped.flush()
        del mapped
        work.storage.publish(file, name)
    return name


@dataclass(frozen=True)
class Matrix:
    """X, wherever it lies."""

    n_rows: int
    n_columns: int
    dtype: Any
    file: str | None
    """A ``.npy`` file, and where its entries begin."""
    offset: int
    blocks: dict[int, Any] = field(default_factory=dict)
    """Of a matrix in memory: its blocks in the cluster's store."""

    @staticmethod
    def of(x: str | os.PathLike[str] | Array, storage: Storage) -> Matrix:
        import ray

        if isinstance(x, (str, os.PathLike)):
            file = os.fspath(x)
            with storage.opened(file) as stream:
                try:
                    version = np.lib.format.read_magic(stream)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, is_fortran, dtype = read(stream)
                except ValueError as error:
                    raise ValueError(f"`{file}` is no .npy file: save the matrix with numpy.save") from error
                offset = stream.tell()
            if len(shape) != 2 or is_fortran or dtype not in (np.dtype("<f4"), np.dtype("<f8")):
                order = "Fortran" if is_fortran else "C"
                raise ValueError(
                    f"`{file}` holds {dtype} of shape {shape} in {order} order; it has to be a matrix of float32 or "
                    "float64 in C order: numpy.save(path, numpy.ascontiguousarray(x, dtype='float32'))"
                )
            return Matrix(shape[0], shape[1], dtype, file, offset)
        x = np.asarray(x)
        if x.ndim != 2:
            raise ValueError(f"`x` has {x.ndim} dimensions; it has to be a matrix, samples x features")
        dtype = np.dtype(np.float32 if x.dtype == np.float32 else np.float64)
        matrix = Matrix(x.shape[0], x.shape[1], dtype, None, 0)
        step = rows_per_block(matrix)
        for block, start in enumerate(range(0, matrix.n_rows, step)):
            matrix.blocks[block] = ray.put(np.ascontiguousarray(x[start : start + step], dtype))
        return matrix

    def read(self, block: int, rows: slice, storage: Storage) -> Array:
        """Some rows; refuses what cannot be factorized."""
        import ray

        if self.file is None:
            x: Array = ray.get(self.blocks[block])
        else:
            row_bytes = self.n_columns * self.dtype.itemsize
            with storage.opened(self.file) as stream:
                stream.seek(self.offset + rows.start * row_bytes)
                content = stream.read((rows.stop - rows.start) * row_bytes)
            if len(content) != (rows.stop - rows.start) * row_bytes:
                raise ValueError(f"`{self.file}` is cut off: it ends before row {rows.stop}")
            x = np.frombuffer(content, self.dtype).reshape(rows.stop - rows.start, self.n_columns)
        is_good = np.isfinite(x) & (x >= 0)
        if not is_good.all():
            row, column = np.argwhere(~is_good)[0]
            raise ValueError(
                f"the matrix has {x[row, column]} at row {rows.start + row}, column {column}; "
                "all entries have to be finite and at least 0"
            )
        return x


def to_bytes(x: Array) -> bytes:
    """As a ``.npy`` file."""
    stream = io.BytesIO()
    np.save(stream, x)
    return stream.getvalue()


def from_bytes(content: bytes) -> Array:
    """From a ``.npy`` file."""
    x: Array = np.load(io.BytesIO(content), allow_pickle=False)
    return x


def rows_per_block(matrix: Matrix) -> int:
    """Rows of a block; it depends on the matrix alone."""
    most: int = BLOCK_BYTES // max(1, matrix.n_columns * matrix.dtype.itemsize)
    return max(1, min(-(-matrix.n_rows // N_BLOCKS), most))


@dataclass
class State:
    """What a run goes on from."""

    components: Array
    n_iter: int
    curve: list[tuple[int, float]]


@dataclass
class Work:
    """What is to be done, as driver and workers know it."""

    matrix: Matrix
    n_components: int
    beta: float
    seed: int
    checkpoint: str | None
    storage: Storage
    mean: float = 0.0

    @property
    def kind(self) -> Any:
        from .._partita import share

        return share.Share32 if self.matrix.dtype.itemsize == 4 else share.Share64

    @property
    def n_blocks(self) -> int:
        return -(-self.matrix.n_rows // rows_per_block(self.matrix))

    def rows(self, block: int) -> slice:
        step = rows_per_block(self.matrix)
        return slice(block * step, min((block + 1) * step, self.matrix.n_rows))

    def _name(self, what: str) -> str:
        assert self.checkpoint is not None
        return self.storage.join(self.checkpoint, what)

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a run to go on."""
        return {
            "shape": [self.matrix.n_rows, self.matrix.n_columns], "dtype": str(self.matrix.dtype),
            "n_components": self.n_components, "beta": self.beta, "seed": self.seed,
        }  # fmt: skip

    def save_activations(self, n_iter: int, block: int, activations: Array) -> None:
        self.storage.write(self._name(f"activations-{block:05}-{n_iter}.npy"), to_bytes(activations))

    def load_activations(self, n_iter: int, block: int) -> Array:
        return from_bytes(self.storage.read(self._name(f"activations-{block:05}-{n_iter}.npy")))

    def save_state(self, state: State) -> None:
        """The moment at which the activations that are there already become the checkpoint; those before it go."""
        self.storage.write(self._name(f"components-{state.n_iter}.npy"), to_bytes(state.components))
        content = {**self._identity(), "n_iter": state.n_iter, "curve": state.curve}
        self.storage.write(self._name("state.json"), json.dumps(content).encode())
        self.storage.remove_others(self.checkpoint or "", f"-{state.n_iter}.npy")

    def load_state(self) -> State | None:
        """None where no checkpoint was reached."""
        try:
            content = json.loads(self.storage.read(self._name("state.json")))
        except FileNotFoundError:
            return None
        for name, value in self._identity().items():
            if content[name] != value:
                raise ValueError(
                    f"the checkpoint `{self.checkpoint}` is of another fit: its `{name}` is {content[name]}, here it "
                    f"is {value}; name another folder, or leave `resume` out"
                )
        components = from_bytes(self.storage.read(self._name(f"components-{content['n_iter']}.npy")))
        return State(components, content["n_iter"], [(n, value) for n, value in content["curve"]])


class Worker:
    """Some blocks of X, and their rows of W."""

    def __init__(self, work: Work, n_threads: int) -> None:
        from .._partita import set_num_threads

        set_num_threads(n_threads)
        self.work = work
        self.raw: dict[int, Array] = {}
        self.shares: dict[int, Any] = {}

    def sum(self, block: int) -> float:
        self.raw[block] = self.work.matrix.read(block, self.work.rows(block), self.work.storage)
        return float(self.raw[block].sum(dtype=np.float64))

    def begin(self, block: int, mean: float, n_iter: int, log: list[Array]) -> None:
        """Holds a block as it was after iteration `n_iter` (0, or that of a checkpoint), and repeats those since."""
        work, rows = self.work, self.work.rows(block)
        x = self.raw.pop(block, None)
        if x is None:
            x = work.matrix.read(block, rows, work.storage)
        if n_iter > 0:
            activations = work.load_activations(n_iter, block)
        else:
            # The seed itself is that of the components.
            seed = (work.seed + 1 + block) % (1 << 64)
            activations = work.kind.start(rows.stop - rows.start, work.n_components, mean, seed)
        self.shares[block] = work.kind(x, activations, work.beta, mean)
        for components in log:
            self.shares[block].improve(components)

    def step(self, block: int, components: Array) -> tuple[Array, Array]:
        self.shares[block].improve(components)
        numerator, denominator = self.shares[block].statistics(components)
        return numerator, denominator

    def divergence(self, block: int, components: Array) -> float:
        return float(self.shares[block].divergence(components))

    def save(self, block: int, n_iter: int) -> None:
        self.work.save_activations(n_iter, block, self.shares[block].activations())

    def activations(self, block: int) -> Array:
        found: Array = self.shares[block].activations()
        return found


class Crew:
    """The workers, and who holds which block. What a worker that died held goes to those that are left."""

    def __init__(self, work: Work, n_workers: int, num_cpus: float) -> None:
        self.work, self.num_cpus = work, num_cpus
        self.workers = [self._hire() for _ in range(min(n_workers, work.n_blocks))]
        n = len(self.workers)
        self.holder = {block: self.workers[block * n // work.n_blocks] for block in range(work.n_blocks)}
        self.n_recovered = 0
        self._since: int | None = None
        self._log: list[Any] = []
        self._lost: set[int] = set()

    def _hire(self) -> Any:
        import ray

        kind = ray.remote(Worker).options(num_cpus=self.num_cpus, max_restarts=0)
        return kind.remote(self.work, max(1, int(self.num_cpus)))

    def begin(self, n_iter: int) -> None:
        """All blocks are held as they were after that iteration."""
        self._since, self._log = n_iter, []
        self._each("begin", list(self.holder), self.work.mean, n_iter, [])

    def remember(self, components: Array) -> None:
        """What the activations have been improved with since the last checkpoint."""
        self._log.append(components)

    def forget(self, n_iter: int) -> None:
        """A checkpoint holds what was before it."""
        self._since, self._log = n_iter, []

    def total(self, what: str, components: Array) -> float:
        parts = self.ask(what, components)
        return sum(float(parts[block]) for block in range(self.work.n_blocks))

    def ask(self, what: str, *arguments: Any, blocks: list[int] | None = None) -> dict[int, Any]:
        """What the holder of each block answers. A step that a block has done is not asked of it again."""
        return self._each(what, list(self.holder) if blocks is None else blocks, *arguments)

    def _each(self, what: str, blocks: list[int], *arguments: Any) -> dict[int, Any]:
        import ray

        shared = [ray.put(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
        answers: dict[int, Any] = {}
        while missing := [block for block in blocks if block not in answers]:
            # A block that was lost after its answer is found again with the next request, which knows of this one.
            self._recover(self._lost.intersection(missing), repeat=what != "begin")
            asked = {block: getattr(self.holder[block], what).remote(block, *shared) for block in missing}
            answers.update(self._answers(asked))
        return answers

    def _answers(self, asked: dict[int, Any]) -> dict[int, Any]:
        """The answers of those that live to give one."""
        import ray

        answers = {}
        for block, answer in asked.items():
            try:
                answers[block] = ray.get(answer)
            except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError):
                self._bury(self.holder[block])
            except ray.exceptions.RayTaskError as error:
                cause = getattr(error, "cause", None)
                raise (cause if isinstance(cause, (ValueError, OSError, MemoryError)) else error) from None
        return answers

    def _bury(self, worker: Any) -> None:
        import ray

        if worker in self.workers:
            self.workers.remove(worker)
            # One that only could not be reached must not go on.
            ray.kill(worker)
            self._lost |= {block for block, holder in self.holder.items() if holder is worker}

    def _recover(self, blocks: set[int], *, repeat: bool) -> None:
        """Gives the blocks of the dead to others, who find out what was held of them."""
        while blocks:
            if not self.workers:
                self.workers = [self._hire()]
            for i, block in enumerate(sorted(blocks)):
                self.holder[block] = self.workers[i % len(self.workers)]
            self._lost -= blocks
            if self._since is None or not repeat:
                return
            begin = (self.work.mean, self._since, self._log)
            found = self._answers({block: self.holder[block].begin.remote(block, *begin) for block in sorted(blocks)})
            self.n_recovered += len(found)
            blocks = blocks.difference(found)

    def dismiss(self) -> None:
        import ray

        for worker in self.workers:
            ray.kill(worker)
