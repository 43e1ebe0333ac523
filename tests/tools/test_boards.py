"""Board files are data: one literal each, and the loader's list names exactly them."""

import ast
from pathlib import Path

from boards import loader

FOLDER = Path(__file__).parents[2] / "boards"


def test_the_list_names_every_board_file() -> None:
    files = {path.stem.replace("_", "-") for path in FOLDER.glob("*.py")} - {"--init--", "schema", "loader"}
    assert files == set(loader.NAMES)


def test_every_board_file_is_one_docstring_and_one_literal() -> None:
    for name in loader.NAMES:
        tree = ast.parse((FOLDER / (name.replace("-", "_") + ".py")).read_text())
        docstring, assignment = tree.body
        assert isinstance(docstring, ast.Expr) and isinstance(assignment, ast.Assign)
        assert ast.literal_eval(assignment.value)["id"] == name
