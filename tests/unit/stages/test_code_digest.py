"""What a program does has a digest; how it is written has none."""

from include.evergreen.stages.training import code_digest
from include.evergreen.stages.training.code_digest import PACKAGE, source_digest

CODE = '"""One."""\nX = 1\n\n\ndef f(a):\n    """Two."""\n    return a + X\n'


def test_a_docstring_a_comment_and_the_layout_change_nothing():
    other = '"""Another."""\n\n# why\nX = 1\ndef f(a):\n  return (a +\n     X)\n'
    assert source_digest(CODE) == source_digest(other.replace("return", '"""3"""\n  return'))


def test_what_a_line_does_changes_the_digest():
    assert source_digest(CODE) != source_digest(CODE.replace("a + X", "a - X"))
    assert source_digest(CODE) != source_digest(CODE.replace("X = 1", "X = 2"))


def test_every_file_it_covers_exists_and_a_builder_counts(tmp_path):
    assert all((PACKAGE / name).is_file() for name in code_digest.FILES)
    builder = tmp_path / "x.py"
    builder.write_text(CODE)
    plain, built = code_digest.code_digest(), code_digest.code_digest((builder,))
    assert plain != built
    builder.write_text(CODE.replace("X = 1", "X = 2"))
    assert code_digest.code_digest((builder,)) != built


def test_a_new_version_of_a_library_is_other_code(monkeypatch):
    before = code_digest.code_digest()
    monkeypatch.setattr(code_digest.metadata, "version", lambda name: f"{name} next")
    assert code_digest.code_digest() != before
