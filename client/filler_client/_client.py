"""The client: one interface over a server and over the library in this process."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.errors import FillerError
from caffe_filler.v1 import filler_pb2
from filler_client import _finetune, _requests
from filler_client._backend import ArrayList, Arrays, Backend, BlobDigest, Piece, client_text
from filler_client._embedded import EmbeddedBackend
from filler_client._finetune import FinetuneOptions, WeightsLike
from filler_client._many import Batches, BlobSpec
from filler_client._options import takes_options
from filler_client._received import received_tensors
from filler_client._requests import FillerLike, FillNetOptions, FillOptions, NetLike, NetOptions, ValueOptions
from filler_client._retry import RetryPolicy
from filler_client._saving import SavedNet, SaveNetOptions, save_net
from filler_client._security import Security, SecurityOptions
from filler_client._signal import SignalOptions

if TYPE_CHECKING:
    from filler_server.diagnostics.signal.report import SignalReport
    from filler_server.digests import Digest
    from filler_server.net.plan import NetPlan
    from filler_server.tensors import Tensor
    from filler_server.weights.merge import MergePlan


class FillerClient:
    """Fills blobs and nets, on a server or in this process.

    A broken connection is not noticed: the stream goes on at the byte where it broke, on another server where several
    are given. Every byte is checked. What is returned is complete, or an error of `caffe_filler.errors` is raised.

    Args:
        target: address of a server (`host:port`, `unix:path`, `dns:///name:port`), or several, as a sequence or with
            commas between them. Of a name that stands for several servers, and of `ipv4:a:1,b:2`, all are used in turn.
        timeout: seconds that any one call may take in all, retries included; None: no limit.
        retry: how long to try when no server answers: for 5 minutes by default, without a byte.
        request_id: what the servers' logs call the calls of this client; each call has an id of its own by default.
        security: those of `SecurityOptions`: credentials, token, token_file, insecure.

    Raises:
        InvalidArgument: there is no address, a file of `security` cannot be used, or a token would travel readable.

    Example:
        >>> with FillerClient.embedded() as client:
        ...     weight = client.fill('type: "msra"', (64, 3, 7, 7), seed=1701)
        >>> weight.shape, weight.dtype
        ((64, 3, 7, 7), dtype('float32'))
    """

    @takes_options(SecurityOptions)
    def __init__(
        self,
        target: str | Sequence[str],
        *,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        request_id: str | None = None,
        **security: Unpack[SecurityOptions],
    ) -> None:
        # Half of the time that importing a client would take, for nothing where it computes in this process.
        from filler_client._remote import RemoteBackend

        self._backend: Backend = RemoteBackend(target, retry or RetryPolicy(), Security(**security), request_id)
        self._timeout = timeout

    @classmethod
    def embedded(cls) -> "FillerClient":
        """Return a client that computes in this process; it needs the extra `server`."""
        client = cls.__new__(cls)
        client._backend = EmbeddedBackend()
        client._timeout = None
        return client

    def __repr__(self) -> str:
        return client_text(self, self._backend)

    def list_fillers(self) -> filler_pb2.ListFillersResponse:
        """Return the fillers with the fields that each reads and their defaults."""
        return self._backend.list_fillers(self._timeout)

    @takes_options(FillOptions)
    def fill(
        self,
        filler: FillerLike,
        shape: Sequence[int],
        *,
        out: NDArray[Any] | None = None,
        **options: Unpack[FillOptions],
    ) -> NDArray[Any]:
        """Return a blob, or a region of one.

        Args:
            filler: a FillerParameter, its prototxt, or the name of a type.
            shape: shape of the whole blob.
            out: a C-contiguous array of the region's shape and of the dtype asked for, to receive into.
            options: those of `FillOptions`: seed, name, dtype, region, axes, layout, stream.

        Returns:
            `out`, or a new array of the region's shape.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`.
        """
        _requests.warn_of_equal_blobs(options, filler)
        request = _requests.fill_request(filler, shape, **options)
        given = {} if out is None else {request.blobs[0].name: out}
        ((_, array),) = self._backend.arrays(request, given, self._timeout)
        return array

    @takes_options(ValueOptions)
    def fill_many(
        self,
        blobs: Iterable[BlobSpec],
        *,
        out: ArrayList | None = None,
        **options: Unpack[ValueOptions],
    ) -> list[NDArray[Any]]:
        """Return several blobs, or regions of them, by one request, or by several where a limit of the server asks it.

        Args:
            blobs: the blobs; a name may be there again, as with several regions of one blob.
            out: for each blob a C-contiguous array of its region's shape and of the dtype asked for, to receive into,
                or None for a new one.
            options: those of `ValueOptions`: seed, dtype, stream.

        Returns:
            The arrays, in the order of the blobs: those of `out` where they are given.

        Raises:
            InvalidArgument: a blob or an array cannot be what it should; nothing was written.
            FillerError: one of the tree in `caffe_filler.errors`; arrays of `out` may have been filled in part.

        Example:
            kernel, bias = BlobSpec("xavier", (64, 256), "mlp/kernel"), BlobSpec("constant", (256,), "mlp/bias")
            arrays = client.fill_many([kernel, bias], seed=1701)
        """
        self._backend.check_open()
        batches = Batches(blobs, out, self._timeout, **options)
        arrays: list[NDArray[Any]] = []
        while (batch := batches.following()) is not None:
            try:
                for _, array in self._backend.arrays(batch.request, batch.out, batches.remaining):
                    arrays.append(array)
            except FillerError as error:
                batches.failed(batch, len(arrays) - batch.first, error)
        return arrays

    @takes_options(NetOptions)
    def plan_net(self, net: NetLike, **options: Unpack[NetOptions]) -> "NetPlan":
        """Return the layers of a net with every shape and every learnable blob; generates nothing.

        Args:
            net: prototxt text, the bytes or path of a file, or a NetParameter.
            options: those of `NetOptions`.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`.
            OSError: the file cannot be read.
        """
        return self.plan(_requests.plan_request(net, **options))

    @takes_options(FillNetOptions)
    def fill_net(
        self,
        net: NetLike,
        *,
        out: Arrays | None = None,
        **options: Unpack[FillNetOptions],
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield name and array of each learnable blob, in the order of the plan or of the option `blobs`.

        Args:
            net: prototxt text, the bytes or path of a file, or a NetParameter.
            out: arrays to receive into, by name; new ones are made for the others.
            options: those of `FillNetOptions`.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`; what was yielded before is complete.
            OSError: the file cannot be read.
        """
        self._backend.check_open()
        request = _requests.fill_net_request(net, **options)
        return self._backend.arrays(request, {} if out is None else out, self._timeout)

    @takes_options(FillNetOptions)
    def init_net(self, net: NetLike, **options: Unpack[FillNetOptions]) -> dict[str, NDArray[Any]]:
        """Return all learnable blobs of a net by name; as `fill_net`."""
        return dict(self.fill_net(net, **options))

    @takes_options(FillOptions)
    def digest(self, filler: FillerLike, shape: Sequence[int], **options: Unpack[FillOptions]) -> "Digest":
        """Return the digest of a blob, or a region of one, without its bytes.

        Digests of the parts of a blob add up to that of the whole. They detect accidents, not forgery.

        Args:
            filler: a FillerParameter, its prototxt, or the name of a type.
            shape: shape of the whole blob.
            options: those of `FillOptions`: seed, name, dtype, region, axes, layout, stream.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`.

        Example:
            assert client.digest("msra", (64, 3, 7, 7), seed=1701, name="conv1/0") == filler_client.digest(weight)
        """
        _requests.warn_of_equal_blobs(options, filler)
        (found,) = self._backend.digests(_requests.fill_request(filler, shape, **options), self._timeout)
        return found.digest

    @takes_options(FillNetOptions)
    def digest_net(self, net: NetLike, **options: Unpack[FillNetOptions]) -> "Iterator[tuple[str, Digest]]":
        """Yield name and digest of each learnable blob, in the order of the plan or of the option `blobs`.

        Args:
            net: prototxt text, the bytes or path of a file, or a NetParameter.
            options: those of `FillNetOptions`.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`.
            OSError: the file cannot be read.
        """
        found = self.digests(_requests.fill_net_request(net, **options))
        return ((entry.header.name, entry.digest) for entry in found)

    @takes_options(FillOptions)
    def tensor(self, filler: FillerLike, shape: Sequence[int], **options: Unpack[FillOptions]) -> "Tensor":
        """Return a blob, or a region of one, as a tensor whose values come when it is read.

        Args:
            filler: a FillerParameter, its prototxt, or the name of a type.
            shape: shape of the whole blob.
            options: those of `FillOptions`: seed, name, dtype, region, axes, layout, stream.

        Returns:
            A tensor called as the option `name` says, or `blob`.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`; also when it is read.
        """
        from filler_server.tensors import renamed

        _requests.warn_of_equal_blobs(options, filler)
        request = _requests.fill_request(filler, shape, **options)
        pieces = self.pieces(request)
        first = next(pieces)
        begun = chain([first], pieces)
        (tensor,) = received_tensors(request, [(first.header.name, first.shape)], self.pieces, begun)
        return renamed(tensor, first.header.name or "blob")

    @takes_options(NetOptions)
    def plan_finetune(
        self,
        net: NetLike,
        weights: WeightsLike,
        *,
        ignore_shape: bool = False,
        reshape: bool = False,
        **options: Unpack[NetOptions],
    ) -> "MergePlan":
        """Return which blobs of a net files of weights have, and which are to be filled; reads no values.

        Args:
            net: prototxt text, the bytes or path of a file, or a NetParameter.
            weights: paths of files of weights of any format; they are read here and not sent.
            ignore_shape: whether blobs whose shapes differ are filled.
            reshape: whether tensors whose axes are joined or split otherwise are copied.
            options: those of `NetOptions`.

        Returns:
            The plan, with conflicts of shapes in it; `check()` makes an error of them.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`.
            OSError: a file cannot be read.
        """
        self._backend.check_open()
        plan = _finetune.local_plan(_requests.plan_request(net, **options))
        with _finetune.open_merge(plan, weights, ignore_shape=ignore_shape, reshape=reshape) as merge:
            return merge.plan

    @takes_options(FinetuneOptions)
    def finetune_net(
        self,
        net: NetLike,
        weights: WeightsLike,
        *,
        ignore_shape: bool = False,
        reshape: bool = False,
        out: Arrays | None = None,
        **options: Unpack[FinetuneOptions],
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield name and array of each learnable blob, from files of weights where they have it, else filled.

        Blobs are found as Caffe finds them (`Net::CopyTrainedLayersFrom`): by the names of their layers. The files stay
        on this side; only what they lack is asked of the server, and has the values that it has in the whole net.

        Args:
            net: prototxt text, the bytes or path of a file, or a NetParameter.
            weights: paths of files of weights of any format; later ones count before earlier ones.
            ignore_shape: whether blobs whose shapes differ are filled rather than being an error.
            reshape: whether tensors whose axes are joined or split otherwise are copied.
            out: arrays to receive into, by name; new ones are made for the others.
            options: those of `FinetuneOptions`.

        Raises:
            InvalidArgument: shapes differ between the net and a file.
            FillerError: one of the tree in `caffe_filler.errors`; what was yielded before is complete.
            OSError: a file cannot be read.
        """
        self._backend.check_open()
        request = _finetune.fill_request(net, **options)
        plan = _finetune.local_plan(request.net)
        with _finetune.open_merge(plan, weights, ignore_shape=ignore_shape, reshape=reshape) as merge:
            merge.plan.check()
            _finetune.check_fillers(request, merge)
            for name in merge.plan.missing:
                request.blobs.add(name=name)
            given = {} if out is None else out
            filled = self._backend.arrays(request, given, self._timeout, plan) if request.blobs else iter(())
            for name, load in _finetune.merged_arrays(merge, dtypes.from_wire(request.dtype), given):
                yield (name, load()) if load is not None else next(filled)

    @takes_options(SaveNetOptions)
    def save_net(
        self,
        net: NetLike,
        path: str | PathLike[str],
        *,
        weights: WeightsLike | None = None,
        **options: Unpack[SaveNetOptions],
    ) -> SavedNet:
        """Write all learnable blobs of a net to a file, from files of weights where they have them, else filled.

        The file is the same whoever fills, and appears when it is complete. Memory does not grow with the net.

        Args:
            net: prototxt text, the bytes or path of a file, or a NetParameter.
            path: where to; the format is that of its ending: .safetensors, .npz, .caffemodel, .prototxt, .h5 or .pt.
            weights: paths of files of weights of any format, also state_dicts; later ones count before earlier ones.
            options: those of `SaveNetOptions`: what `fill_net` takes but `blobs`, and names, ignore_shape, reshape,
                max_shard_bytes, advance.

        Raises:
            InvalidArgument: shapes differ between the net and a file, or the format cannot hold the blobs.
            FillerError: one of the tree in `caffe_filler.errors`.
            OSError: a file cannot be read or written.

        Example:
            client.save_net(Path("train_val.prototxt"), "weights.safetensors", seed=1701, names="torch")
        """
        self._backend.check_open()
        return save_net(partial(self._backend.pieces, timeout=self._timeout), net, path, weights, **options)

    @takes_options(SignalOptions)
    def signal(self, net: NetLike, **options: Unpack[SignalOptions]) -> "SignalReport":
        """Return how large activations and gradients are in each layer of a net before any training.

        By default it is reckoned from the prototxt alone (`filler_server.diagnostics.signal` says what is assumed).
        Simulated, the net is run forward and backward in PyTorch, with weights and random inputs of each seed.

        Args:
            net: prototxt text, the bytes or path of a file, or a NetParameter.
            options: those of `SignalOptions`: what `plan_net` takes, and batch, mean, std, simulate, seeds.

        Returns:
            A table when printed or shown in a notebook; `json()` has it as plain values. What is not known is None.

        Raises:
            Unavailable: simulating needs PyTorch, which is not installed.
            FillerError: one of the tree in `caffe_filler.errors`.
            OSError: the file cannot be read.

        Example:
            report = client.signal(Path("train_val.prototxt"), inputs={"data": (64, 3, 227, 227)})
            print(report.verdict.forward.course)
        """
        from filler_client._signal import signal

        return signal(self.plan, self.init_net, net, options)

    def upgrade_net(
        self, file: NetLike, *, strict: bool = False, lenient: bool = False
    ) -> filler_pb2.UpgradeNetResponse:
        """Return a net or solver of any age in the current format, with the list of changes.

        Args:
            file: text, the bytes or path of a file, or a message; text comes back as text, binary as binary.
            strict: what would be a warning is an error.
            lenient: pass over fields and enum values that are plainly misspelled; else they are errors.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`.
            OSError: the file cannot be read.
        """
        return self._backend.upgrade_net(_requests.upgrade_request(file, strict=strict, lenient=lenient), self._timeout)

    def plan(self, request: filler_pb2.PlanNetRequest) -> "NetPlan":
        """Return the answer to a request for a plan, for a caller that goes on with the same request."""
        return self._backend.plan_net(request, self._timeout)

    def pieces(
        self,
        request: filler_pb2.FillRequest | filler_pb2.FillNetRequest,
        *,
        plan: "NetPlan | None" = None,
    ) -> Iterator[Piece]:
        """Yield the bytes of a stream piece by piece, for a caller that writes them on and keeps no array.

        Args:
            request: what to fill.
            plan: the plan of the request's net, with which the blobs that come are compared.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`.
        """
        self._backend.check_open()
        return self._backend.pieces(request, self._timeout, plan)

    def digests(
        self,
        request: filler_pb2.FillRequest | filler_pb2.FillNetRequest,
        *,
        plan: "NetPlan | None" = None,
    ) -> "Iterator[BlobDigest]":
        """Yield header and digest of each blob of a request, without its bytes.

        Args:
            request: what to fill.
            plan: the plan of the request's net, with which the blobs that come are compared.

        Raises:
            FillerError: one of the tree in `caffe_filler.errors`.
        """
        self._backend.check_open()
        return self._backend.digests(request, self._timeout, plan)

    def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        self._backend.close()

    def __enter__(self) -> "FillerClient":
        self._backend.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
