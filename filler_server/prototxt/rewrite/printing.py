"""Messages to lines of text, as protobuf prints them but for whole numbers, which come without the `.0`."""

import re
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_WHOLE = re.compile(r"( *\w+: -?[0-9]+)\.0")


def printed(message: Message) -> list[str]:
    """Return the fields of a message, one line for each scalar and bracket, blocks indented by two spaces."""
    lines = text_format.MessageToString(message, as_utf8=True).split("\n")[:-1]
    return [match[1] if (match := _WHOLE.fullmatch(line)) else line for line in lines]


def printed_value(message_class: type[Message], field: FieldDescriptor, value: Any) -> str:
    """Return one value of a field that is not a message, as it stands after the colon."""
    message: Any = message_class()
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)
    return printed(message)[0].removeprefix(f"{field.name}: ")
