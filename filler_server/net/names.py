"""The names that blobs and their random streams take from their layers."""

from collections.abc import Iterable


def unique_names(names: Iterable[str]) -> list[str]:
    """Return a name for each layer that no other has.

    The first layer of a name keeps it. Each further one gets `#2`, `#3`, ... after it, the first of these that is
    neither the name of any layer nor taken already; so a layer that is alone with its name always keeps it.

    >>> unique_names(["conv", "conv", "conv#2", "conv"])
    ['conv', 'conv#3', 'conv#2', 'conv#4']
    """
    originals = list(names)
    taken = set(originals)
    numbers: dict[str, int] = {}
    result = []
    for name in originals:
        number = numbers.get(name, 0) + 1
        unique = name
        if number > 1:
            while (unique := f"{name}#{number}") in taken:
                number += 1
            taken.add(unique)
        numbers[name] = number
        result.append(unique)
    return result
