"""Any message of a protobuf type: every field of it, with what it may hold and what it should not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_EDGES = [0, 1, 2, 3, 4, 8, 31, 32, 33, 1000, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -1, -2, -(2**31)]
_UNKNOWN_NUMBERS = [-1, 4, 99, 2**31 - 1]


@dataclass
class Messages:
    """Strategies for messages.

    Attributes:
        values: values for fields of these names, which stand beside those that their type can have.
        deepest: how deep messages are nested.
        seen: names of the fields that were set, `FillRequest.seed` and so on.
    """

    values: Mapping[str, st.SearchStrategy[Any]]
    deepest: int = 4
    seen: set[str] = field(default_factory=set)

    def of(self, kind: type[Message]) -> st.SearchStrategy[Message]:
        """Messages of a type."""
        return self._messages(kind.DESCRIPTOR, self.deepest)

    def _messages(self, descriptor: Descriptor, depth: int) -> st.SearchStrategy[Message]:
        fields = {
            entry.name: self._values(entry, depth)
            for entry in descriptor.fields
            if depth > 0 or entry.message_type is None
        }
        kind = GetMessageClass(descriptor)
        return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: self._build(kind, chosen))

    def _build(self, kind: type[Message], chosen: Mapping[str, Any]) -> Message:
        message = kind()
        for name, value in chosen.items():
            self.seen.add(f"{kind.DESCRIPTOR.name}.{name}")
            if isinstance(value, Message):
                getattr(message, name).CopyFrom(value)
            elif isinstance(value, list):
                getattr(message, name).extend(value)
            else:
                setattr(message, name, value)
        return message

    def _values(self, entry: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
        if entry.message_type is not None:
            one: st.SearchStrategy[Any] = st.deferred(lambda: self._messages(entry.message_type, depth - 1))
        else:
            one = _scalars(entry)
            if entry.name in self.values:
                one = st.one_of(self.values[entry.name], self.values[entry.name], one)
        return st.lists(one, max_size=4) if entry.is_repeated else one


def fields_of(descriptor: Descriptor) -> set[str]:
    """Names of all fields of a message and of those inside of it."""
    found: set[str] = set()
    open_types = [descriptor]
    while open_types:
        kind = open_types.pop()
        for entry in kind.fields:
            name = f"{kind.name}.{entry.name}"
            if name not in found and entry.message_type is not None:
                open_types.append(entry.message_type)
            found.add(name)
    return found


def _scalars(entry: FieldDescriptor) -> st.SearchStrategy[Any]:
    kind = entry.cpp_type
    if kind in _INTEGERS:
        lowest, highest = _INTEGERS[kind]
        edges = [edge for edge in _EDGES if lowest <= edge <= highest]
        return st.one_of(st.sampled_from(edges), st.integers(lowest, highest))
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        known = [value.number for value in entry.enum_type.values]
        return st.sampled_from(known if entry.enum_type.is_closed else known * 3 + _UNKNOWN_NUMBERS)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return st.floats(width=32)
    if entry.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=200)
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
