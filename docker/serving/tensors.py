"""Tensors of the Open Inference Protocol as the raw columns of a model's contract.

A tensor holds one column: shape [n] or [n, 1], data flat or nested. Where every column is a number
one tensor of shape [n, columns] may hold them all. What does not fit is refused by name; the values
themselves are checked by the contract, as those of any request are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dialect import Columns
from reading import in_words, short, too_many
from refusals import Refusal

Field = dict[str, Any]
REALS = ("FP64", "FP32", "FP16")
_BITS = (64, 32, 16, 8)
#: The least and the largest value of each whole type.
WHOLES: dict[str, tuple[int, int]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in _BITS},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in _BITS},
}
_KEYS = ("name", "shape", "datatype", "data", "parameters")
_MATRIX_RANK = 2


def datatypes(column: Mapping[str, Any]) -> tuple[str, ...]:
    """The datatypes that a column of the contract is taken in; the metadata names the first."""
    kind = column["type"]
    if kind == "float":
        return (*REALS, *WHOLES)
    if kind == "integer" or is_whole_category(column):
        return tuple(WHOLES)
    if kind == "boolean":
        return ("BOOL",)
    return ("BYTES", *WHOLES) if kind == "key" else ("BYTES",)


def is_whole_category(column: Mapping[str, Any]) -> bool:
    """Whether the values of this category are whole numbers."""
    values = column.get("values")
    return bool(column["type"] == "category" and values and isinstance(values[0], int))


def takes_matrix(contract: Mapping[str, Any]) -> bool:
    """Whether one tensor may hold all columns: where each is taken as FP64."""
    return all("FP64" in datatypes(column) for column in contract["columns"].values())


def problem(field: str, seen: str, allowed: str, row: int | None = None, rows: int = 0) -> Field:
    """One field of a refusal; of `rows` bad rows `row` is the first."""
    return {"field": short(field), "seen": seen, "allowed": allowed, "row": row, "rows": rows}


def refused(fields: Sequence[Field]) -> Refusal:
    """A 422 that names these fields."""
    shown = "; ".join(
        f"'{f['field']}': seen {f['seen']}, allowed {f['allowed']}" for f in fields[:10]
    )
    return Refusal(422, f"{len(fields)} fields cannot be read: {shown}", fields)


def read_tensors(inputs: Any, contract: Mapping[str, Any], max_rows: int) -> Columns:
    """Raw columns of a request's input tensors, all of one length from 1 to `max_rows`.

    Raises:
        Refusal: 413 for too many rows, 422 with every field that is wrong.
    """
    if not isinstance(inputs, list) or not inputs:
        seen = "an empty array" if inputs == [] else in_words(inputs)
        raise refused([problem("inputs", seen, "a list of tensors, one for each column")])
    known = {**contract["optional"], **contract["columns"]}
    named = _named(inputs, known)
    if _is_matrix(named, known):
        return _matrix(*next(iter(named.items())), contract, max_rows)
    problems: list[Field] = []
    columns: Columns = {}
    for name, tensor in named.items():
        values = _column(name, tensor, known, problems)
        if isinstance(values, list):
            columns[name] = values
    _check_rows(max(map(len, columns.values()), default=1), max_rows)
    problems += _uneven(columns)
    if problems:
        raise refused(problems)
    return columns


def _named(inputs: Sequence[Any], known: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The tensors by name, each an object with no key that the protocol does not have."""
    problems: list[Field] = []
    named: dict[str, Mapping[str, Any]] = {}
    for index, tensor in enumerate(inputs):
        where = f"inputs[{index}]"
        if not isinstance(tensor, dict):
            problems.append(problem(where, in_words(tensor), "an object"))
            continue
        name = tensor.get("name")
        if not isinstance(name, str):
            problems.append(problem(f"{where}.name", in_words(name), f"one of {some(known)}"))
            continue
        if name in named:
            problems.append(problem(name, "two inputs of this name", "one"))
        problems += [
            problem(f"{short(name)}.{short(key)}", "a key no tensor has", f"only {some(_KEYS)}")
            for key in tensor
            if key not in _KEYS
        ]
        problems += parameter_problems(tensor.get("parameters"), (), name)
        named[name] = tensor
    if problems:
        raise refused(problems)
    return named


def parameter_problems(parameters: Any, flags: Sequence[str], where: str = "") -> list[Field]:
    """What is wrong with `parameters`: anything but these flags, which are true or false."""
    path = f"{short(where)}.parameters" if where else "parameters"
    if parameters is None:
        return []
    if not isinstance(parameters, dict):
        return [problem(path, in_words(parameters), "an object")]
    allowed = f"only {some(flags)}" if flags else "none: data is sent as JSON, in 'data'"
    return [
        problem(f"{path}.{short(name)}", "a parameter that is not understood", allowed)
        if name not in flags
        else problem(f"{path}.{name}", in_words(value), "true or false")
        for name, value in parameters.items()
        if name not in flags or not isinstance(value, bool)
    ]


def _is_matrix(named: Mapping[str, Mapping[str, Any]], known: Mapping[str, Any]) -> bool:
    (name, tensor), *others = named.items()
    shape = tensor.get("shape")
    return not others and name not in known and isinstance(shape, list) and len(shape) > 1


def _matrix(
    name: str, tensor: Mapping[str, Any], contract: Mapping[str, Any], max_rows: int
) -> Columns:
    names = list(contract["columns"])
    if not takes_matrix(contract):
        allowed = f"one input for each of {some(names)}, of shape [n]: not all of them are numbers"
        raise refused([problem(name, "one input for all columns", allowed)])
    shape, data, width = _shape(tensor), tensor.get("data"), len(names)
    if shape is None or len(shape) != _MATRIX_RANK or shape[1] != width:
        allowed = f"[n, {width}]: the columns {some(names)}, in this order"
        raise refused([problem(name, f"shape {_seen(tensor.get('shape'))}", allowed)])
    kind = tensor.get("datatype")
    if kind not in (*REALS, *WHOLES):
        raise refused([_wrong_type(name, kind, (*REALS, *WHOLES))])
    _check_rows(shape[0], max_rows)
    rows = _rows(data, width)
    if len(rows) != shape[0]:
        allowed = f"{shape[0]:,} rows of {width} values, flat or nested"
        raise refused([problem(name, f"data of another size for shape {_seen(shape)}", allowed)])
    columns: Columns = {
        column: list(row) for column, row in zip(names, zip(*rows, strict=True), strict=True)
    }
    problems = [p for column, values in columns.items() if (p := _misfit(column, values, kind))]
    if problems:
        raise refused(problems)
    return columns


def _rows(data: Any, width: int) -> list[Any]:
    """The rows of nested or flat data; none if it is neither."""
    if not isinstance(data, list):
        return []
    if data and isinstance(data[0], list):
        whole = all(isinstance(row, list) and len(row) == width for row in data)
        return data if whole else []
    if len(data) % width:
        return []
    return [data[start : start + width] for start in range(0, len(data), width)]


def _column(
    name: str, tensor: Mapping[str, Any], known: Mapping[str, Any], problems: list[Field]
) -> list[Any] | None:
    """The values of one column; what is wrong with the tensor is added to `problems`."""
    if name not in known:
        problems.append(problem(name, "an input the contract does not have", f"only {some(known)}"))
        return None
    shape, data, kind = _shape(tensor), tensor.get("data"), tensor.get("datatype")
    allowed = datatypes(known[name])
    if kind not in allowed:
        problems.append(_wrong_type(name, kind, allowed))
        return None
    if shape is None or len(shape) > _MATRIX_RANK or shape[1:] not in ([], [1]):
        seen = f"shape {_seen(tensor.get('shape'))}"
        problems.append(problem(name, seen, "shape [n] or [n, 1], n the number of rows"))
        return None
    if not isinstance(data, list):
        seen = f"{in_words(data)} as data" if "data" in tensor else "no data"
        problems.append(problem(name, seen, "a list of values, null for a missing one"))
        return None
    if len(shape) == _MATRIX_RANK and all(isinstance(v, list) and len(v) == 1 for v in data):
        data = [value[0] for value in data]
    if len(data) != shape[0]:
        problems.append(
            problem(name, f"{len(data):,} values for shape {_seen(shape)}", "as many as rows")
        )
        return None
    misfit = _misfit(name, data, kind)
    if misfit:
        problems.append(misfit)
    return data


def _shape(tensor: Mapping[str, Any]) -> list[int] | None:
    """The shape if it is a list of whole numbers from 0."""
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape:
        return None
    return shape if all(type(size) is int and size >= 0 for size in shape) else None


def _wrong_type(name: str, seen: Any, allowed: Sequence[str]) -> Field:
    return problem(name, f"datatype {_seen(seen)}", f"datatype {some(allowed)}")


def _check_rows(n_rows: int, max_rows: int) -> None:
    if n_rows > max_rows:
        raise too_many(n_rows, max_rows)
    if n_rows == 0:
        raise Refusal(422, "The request holds no rows. Send at least one.")


def _uneven(columns: Columns) -> list[Field]:
    """A problem for each column that has another number of rows than the first has."""
    lengths = {name: len(values) for name, values in columns.items()}
    first = next(iter(lengths), "")
    return [
        problem(name, f"{length:,} rows", f"{lengths[first]:,}, as '{short(first)}' has")
        for name, length in lengths.items()
        if length != lengths[first]
    ]


def _misfit(name: str, values: Sequence[Any], datatype: str) -> Field | None:
    """What is wrong if a value is not of the datatype that its tensor claims."""
    is_bad, allowed = _CHECKS[datatype]
    bad = [row for row, value in enumerate(values) if value is not None and is_bad(value)]
    if not bad:
        return None
    return problem(
        name, _seen(values[bad[0]]), f"{allowed} as datatype {datatype}", bad[0], len(bad)
    )


def _is_no_whole(least: int, most: int) -> Callable[[Any], bool]:
    def is_bad(value: Any) -> bool:
        if type(value) is float:
            return not value.is_integer() or not least <= value <= most
        return type(value) is not int or not least <= value <= most

    return is_bad


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **{name: (_is_no_whole(*span), "a whole number") for name, span in WHOLES.items()},
    **{name: (lambda value: type(value) not in (int, float), "a finite number") for name in REALS},
    "BOOL": (lambda value: type(value) is not bool, "true or false"),
    "BYTES": (lambda value: type(value) is not str, "a text"),
}


def _seen(value: Any) -> str:
    if isinstance(value, list):
        return short(str(value[:20])) if all(type(v) is int for v in value) else "an array"
    return short(repr(value)) if type(value) in (str, int, float) else in_words(value)


def some(values: Iterable[Any]) -> str:
    """The first ten of these, and how many more there are."""
    listed = list(map(str, values))
    more = f" and {len(listed) - 10} more" if len(listed) > 10 else ""  # noqa: PLR2004
    return ", ".join(listed[:10]) + more
