"""A checkpoint that is not there: torch.distributed.checkpoint reads what was never written."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.checkpoint import LoadPlan, LoadPlanner, Metadata, StorageReader
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, TensorProperties, TensorStorageMetadata
from torch.distributed.checkpoint.planner import ReadItem
from torch.futures import Future

from caffe_filler.errors import InvalidArgument
from caffe_filler.nearest import did_you_mean, nearest
from filler_client import _requests
from filler_client._client import FillerClient
from filler_client._rules import RulesLike, rules_of
from filler_client.torch._filling import Filling, check_padding, check_tensor, fill_all
from filler_client.torch._module import Slot, slots_by_key
from filler_client.torch._placement import local_of

if TYPE_CHECKING:
    from filler_server.rules import Parameter

_MOST_AXES = 64
_MOST = 1 << 62


class FillerStorageReader(StorageReader):
    """Reader of a checkpoint that holds the values which rules give, in any sharding.

    `torch.distributed.checkpoint.load(state_dict, storage_reader=FillerStorageReader(rules, seed))` fills the tensors
    of a state_dict as if it had been saved once on one machine, each process what it holds of them. The values are
    those of `initialize_` with the same rules and names.

    Args:
        rules: what `initialize_` takes; `rule_set("caffe", net=...)` for the fillers of a net.
        seed: 0 to 2**64 - 1.
        client: who computes; this process by default.
        module: the module whose state_dict it is, for rules that ask for modules; without it they fit nothing, and
            rules with zero_padding are errors. With it, buffers that no rule names are left alone, tied parameters have
            the values of their first name, and what wrappers add to keys changes nothing (torch.compile,
            DistributedDataParallel).
        key_prefix: what stands before the names of parameters in the keys, such as `model.`; the dot may be left out.

    Raises:
        InvalidArgument: rules or seed cannot be what they should.
        FillerError: one of the tree in `caffe_filler.errors`.
        OSError: a file of rules cannot be read.

    Example:
        dcp.load(model.state_dict(), storage_reader=FillerStorageReader("torch", 1701, module=model))
    """

    def __init__(
        self,
        rules: RulesLike,
        seed: int,
        *,
        client: FillerClient | None = None,
        module: torch.nn.Module | None = None,
        key_prefix: str = "",
    ) -> None:
        self._seed = _requests.check_seed(seed)
        self._client = client
        if not isinstance(key_prefix, str):
            raise InvalidArgument(f"key_prefix is text. Received: key_prefix={key_prefix!r}")
        self._prefix = key_prefix
        if module is not None and not isinstance(module, torch.nn.Module):
            raise InvalidArgument(f"module is one of PyTorch. Received: {type(module).__name__}")
        self._slots: dict[str, Slot] | None = None if module is None else slots_by_key(module)
        self._rules = rules_of(rules, is_whole=False)

    def reset(self, checkpoint_id: Any = None) -> None:
        """Take no place of a checkpoint.

        Raises:
            InvalidArgument: one is named.
        """
        if checkpoint_id is not None:
            raise InvalidArgument(f"nothing is read from a file. Received: checkpoint_id={checkpoint_id!r}")

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """Return that there is no place that holds such a checkpoint."""
        return False

    def read_metadata(self) -> Metadata:
        """Return metadata in which every key has a tensor of whatever shape is asked for."""
        return Metadata(state_dict_metadata=_EveryKey())

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool) -> None:
        """Do nothing: there is nothing to open."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """Return the plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """Return the plans as they are."""
        return plans

    @torch.no_grad()
    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Fill the tensors of the plan.

        Raises:
            InvalidArgument: no rule fits a key, the module has none of this name and shape, two keys are one tensor or
                have one name, or a tensor cannot hold a blob.
            FillerError: one of the tree in `caffe_filler.errors`.
        """
        items: dict[str, ReadItem] = {item.dest_index.fqn: item for item in plan.items}
        fillings: dict[str, Filling] = {}
        memory: dict[object, str] = {}
        names: dict[str, str] = {}
        named = self._named(planner.state_dict)
        for key in items:
            filling = self._filling(key, planner.state_dict[key], named)
            if filling is None:
                continue
            place = _memory(filling.tensor)
            other = memory.setdefault(place, key)
            if other == key:
                same = names.setdefault(self._name(key), key)
                if same != key:
                    raise InvalidArgument(
                        f"'{same}' and '{key}' have one name, and would be filled alike. "
                        f"Received: key_prefix='{self._prefix}'"
                    )
                fillings[key] = filling
            elif fillings[other].assignment.stream != filling.assignment.stream:
                raise InvalidArgument(
                    f"'{other}' and '{key}' are one tensor; module=... says under which name it is filled"
                )
        fill_all(list(fillings.values()), self._seed, self._client)
        for item in plan.items:
            planner.commit_tensor(item, planner.resolve_tensor(item))
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _name(self, key: str) -> str:
        name = key.removeprefix(self._prefix)
        # No name of a parameter begins with a dot.
        return name if name == key else name.removeprefix(".")

    def _named(self, state: Mapping[str, Any]) -> "dict[str, Parameter]":
        """Return the parameters of a state_dict as rules see them where there is no module."""
        from filler_server.rules import parameters_of

        tensors = {self._name(key): each for key, each in state.items() if isinstance(each, torch.Tensor)}
        return parameters_of({name: tuple(tensor.shape) for name, tensor in tensors.items()})

    def _filling(self, key: str, tensor: Any, named: "Mapping[str, Parameter]") -> Filling | None:
        if not isinstance(tensor, torch.Tensor) or hasattr(tensor, "local_shards"):
            raise InvalidArgument(f"'{key}' is neither a tensor nor a DTensor. Received: {type(tensor).__name__}")
        name, slot = self._name(key), None
        if self._slots is not None:
            slot = self._slots.get(name)
            if slot is None:
                hint = did_you_mean(nearest(name, self._slots))
                raise InvalidArgument(
                    f"'{name}' is neither a parameter nor a buffer of the module{hint}; key_prefix=... is what stands "
                    f"before their names in the keys. Received: key='{key}', key_prefix='{self._prefix}'"
                )
            if slot.parameter.shape != tuple(tensor.shape):
                # As of a checkpoint that has been saved; fans and padding are those of the whole parameter.
                raise InvalidArgument(
                    f"'{name}' has another shape in the module, {list(slot.parameter.shape)}. "
                    f"Received: shape={list(tensor.shape)}"
                )
        parameter = named[name]._replace(shape=tuple(tensor.shape)) if slot is None else slot.parameter
        found = self._rules.assign(parameter)
        if found is None:
            if slot is not None and slot.is_buffer:
                return None
            raise InvalidArgument(
                f"no rule fits '{name}'; a rule '*' at the end fits everything, and rules that ask for modules need "
                f"module=... Received: shape={list(tensor.shape)}"
            )
        check_tensor(name, tensor, found)
        if slot is None:
            check_padding(name, found, "module=... says which module it is")
        return Filling(tensor, found, slot.padding_row if slot is not None and found.zero_padding else None)


class _EveryKey(dict[str, TensorStorageMetadata]):
    """Metadata of a tensor for every key; none of them is listed, so that none is missed in a state_dict."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> TensorStorageMetadata:
        # One chunk that holds every tensor, of which a planner looks at as many axes as its own has.
        chunk = ChunkStorageMetadata(torch.Size([0] * _MOST_AXES), torch.Size([_MOST] * _MOST_AXES))
        size: Any = _AnySize()
        return TensorStorageMetadata(TensorProperties(), size, [chunk])


class _AnySize:
    """The size of whatever tensor is asked for."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def _memory(tensor: Any) -> object:
    """Return what two keys have in common that are one tensor."""
    local = local_of(tensor)
    return (local.device, local.data_ptr()) if local.numel() else id(tensor)
