"""What the library tells its callers is in Python's words; the command line finds its own."""

import ast
import pickle
import re

import pytest
from support.texts import library_nodes, library_texts

from fnevr.errors import MAX_MESSAGE, FaceError, FnevrError, counted, describe_problems, shown

# What a person types is quoted as it is typed: `fnevr export lite FOLDER --precision int8`.
TYPED = re.compile(r"`fnevr [^`]*`")
DASHES = {
    ("evaluate/protocols.py", "--"),  # the name of a pair
    ("runtime/graphs.py", " --precision "),  # of a `fnevr export ...` that is put together
    ("runtime/graphs.py", " --calibration CLIPS"),
    ("server/sinks.py", "--"),  # between the parts of an answer
}


def test_no_text_of_the_library_names_an_option_of_the_command_line():
    options = {
        (name, text)
        for name, text in library_texts()
        if re.search(r"(?<!-)--(?![-:|])", TYPED.sub("", text))
    }
    assert options == DASHES


def test_workers_end_with_the_process_that_started_them():
    """Killed, a process cannot end its workers; each watches for itself."""
    pools = {
        name: "end_with_parent" in ast.unparse(node)
        for name, node in library_nodes()
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ProcessPoolExecutor")
    }
    assert pools == {"workers.py": True}


def test_an_error_says_which_argument_it_is_about():
    assert FnevrError("no").argument is None
    error = FaceError("there is no face 3", argument="face")
    assert (str(error), error.argument) == ("there is no face 3", "face")


def test_an_error_comes_whole_out_of_another_process():
    error = pickle.loads(pickle.dumps(FaceError("there is no face 3", argument="face")))
    assert isinstance(error, FaceError)
    assert (str(error), error.argument) == ("there is no face 3", "face")


def test_an_error_takes_its_argument_by_name():
    with pytest.raises(TypeError):
        FnevrError("there is no face 3", "face")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\x1b[31mred\x1b[0m.png", r"a\x1b[31mred\x1b[0m.png"),
        ("title\x1b]0;owned\x07", r"title\x1b]0;owned\x07"),
        ("back\rforth\b", r"back\rforth\x08"),
        ("\x9b2J", r"\x9b2J"),
        ("gnp.\u202egpj", r"gnp.\u202egpj"),
        ("two\nlines\tand ä 日本 🙂", "two\nlines\tand ä 日本 🙂"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_codes_do_not_reach_a_terminal(text, said):
    assert shown(text) == said
    assert str(FnevrError(text)) == said


def test_what_is_counted_has_its_number():
    assert [counted(number, "frame") for number in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert counted(1, "person", "people") == "1 person"
    assert counted(3, "person", "people") == "3 people"


def test_no_text_leaves_the_number_of_what_is_counted_open():
    assert not [text for _, text in library_texts() if re.search(r"[a-z]\(s\)(?! ?\[)", text)]


@pytest.mark.parametrize(
    "text",
    ["smile is " + "A" * 10**6 + ": no number", describe_problems("a", ["b: missing"] * 10**5)],
)
def test_messages_that_quote_much_of_a_file_are_shortened(text):
    said = str(FnevrError(text))
    assert len(said) < MAX_MESSAGE + 100
    assert said.startswith(text[:100])
    assert said.endswith(text[-100:])
    assert "characters more" in said
    assert str(FnevrError(text[:MAX_MESSAGE])) == text[:MAX_MESSAGE]
