"""The three forms of the prompts file mean the same, and every mistake is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.sam.errors import PromptError
from serving.sam.prompts import Prompt
from serving.sam.prompts_file import parse_prompts_file


def parse(content: Any) -> dict[str, tuple[Prompt, ...]]:
    return parse_prompts_file(json.dumps(content))


ONE_POINT = Prompt(points=((3.0, 4.0),), labels=(1,))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"1": [[3, 4]]}, (ONE_POINT,)),
        ([[3, 4], [1]], (ONE_POINT,)),
        ([[[3, 4]], [1]], (ONE_POINT,)),
        ([{"points": [[3, 4]], "labels": [1]}], (ONE_POINT,)),
        ([{"points": [[3, 4]]}], (ONE_POINT,)),
        (
            [{"points": [[3, 4]], "category": "red apple"}],
            (Prompt(points=((3.0, 4.0),), labels=(1,), category="red apple"),),
        ),
        (
            {"1": [[3, 4], [5, 6]], "0": [[7, 8]]},
            (Prompt(points=((3.0, 4.0), (5.0, 6.0), (7.0, 8.0)), labels=(1, 1, 0)),),
        ),
        (
            [[[3, 4], [7, 8]], [1, 0]],
            (Prompt(points=((3.0, 4.0), (7.0, 8.0)), labels=(1, 0)),),
        ),
        (
            [{"box": [1, 2, 3, 4]}, {"points": [[3, 4]], "labels": [1], "box": [0, 0, 9, 9]}],
            (
                Prompt(box_xyxy=(1.0, 2.0, 3.0, 4.0)),
                Prompt(points=((3.0, 4.0),), labels=(1,), box_xyxy=(0.0, 0.0, 9.0, 9.0)),
            ),
        ),
    ],
)
def test_parse_prompts_file_each_form_gives_its_prompts(
    form: Any, expected: tuple[Prompt, ...]
) -> None:
    assert parse({"a.jpg": form}) == {"a.jpg": expected}


def test_parse_prompts_file_long_form_reads_what_to_json_wrote() -> None:
    prompt = Prompt(
        points=((3.0, 4.0),), labels=(0,), box_xyxy=(1.0, 2.0, 3.5, 4.0), category="Äpfel"
    )
    assert parse({"a": [prompt.to_json()]}) == {"a": (prompt,)}


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"2": [[1, 2]]}, r"label must be \"1\""),
        ({"1": [1, 2]}, "wrap a single point in a list"),
        ({"1": []}, "expected a list of points"),
        ({"1": [[1, 2, 3]]}, r"expected a point \[x, y\]"),
        ({"1": [["1", 2]]}, "finite number"),
        ({"1": [[True, 2]]}, "finite number"),
        ({"1": [[float("nan"), 2]]}, "finite number"),
        ({"0": [[1, 2]]}, "every point is background"),
        ({}, "expected"),
        ([], "expected"),
        ("1,2", "expected"),
        (None, "expected"),
        ([[3, 4], [2]], "label must be 1"),
        ([[3, 4], [1, 0]], "one label for each point"),
        ([{"points": [[1, 2]], "labels": [1, 1]}], "one label for each point"),
        ([{"points": [[1, 2]], "labels": [True]}], "label must be 1"),
        ([{"point": [[1, 2]]}], "unknown key 'point'"),
        ([{}], "neither"),
        ([{"box": [5, 5, 1, 9]}], "x0 < x1"),
        ([{"box": [1, 2, 3]}], "expected a box"),
        ([{"points": [[1, 2]] * 1001}], "at most 1000"),
        ([{"points": [[1, 2]], "category": 7}], "category must be a line of"),
        ([{"points": [[1, 2]], "category": 0}], "category must be a line of"),
        ([{"points": [[1, 2]], "category": "two\nlines"}], "category must be a line of"),
        ([{"points": [[1, 2]], "category": " apple"}], "category must be a line of"),
        ([{"points": [[1, 2]], "category": "a" * 201}], "category must be a line of"),
    ],
)
def test_parse_prompts_file_wrong_prompt_names_image_and_reason(form: Any, reason: str) -> None:
    with pytest.raises(PromptError, match=reason) as caught:
        parse({"a.jpg": form})
    assert "prompts['a.jpg']" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[1]", "one JSON object"),
        ('{"a": {"1": [[1,2]]}, "a": {"1": [[3,4]]}}', "'a' appears twice"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_parse_prompts_file_wrong_structure_is_named(text: str, reason: str) -> None:
    with pytest.raises(PromptError, match=reason):
        parse_prompts_file(text)


@pytest.mark.parametrize(
    ("prompt", "inside"),
    [
        (Prompt(points=((0.0, 0.0),), labels=(1,)), True),
        (Prompt(points=((99.9, 49.9),), labels=(1,)), True),
        (Prompt(points=((100.0, 10.0),), labels=(1,)), False),
        (Prompt(points=((10.0, 50.0),), labels=(1,)), False),
        (Prompt(points=((-1.0, 10.0),), labels=(1,)), False),
        (Prompt(box_xyxy=(0.0, 0.0, 100.0, 50.0)), True),
        (Prompt(box_xyxy=(0.0, 0.0, 101.0, 50.0)), False),
        (Prompt(box_xyxy=(-1.0, 0.0, 10.0, 50.0)), False),
    ],
)
def test_check_inside_compares_with_the_image(prompt: Prompt, inside: bool) -> None:
    if inside:
        prompt.check_inside(100, 50, "p")
        return
    with pytest.raises(PromptError, match=r"p: .* lies outside; the image is 100 x 50 pixels"):
        prompt.check_inside(100, 50, "p")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["0", "1", "points", "labels", "box", "x"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_parse_prompts_file_any_json_is_prompts_or_a_prompt_error(content: Any) -> None:
    try:
        parsed = parse({"a": content})
    except PromptError:
        return
    assert all(isinstance(prompt, Prompt) for prompt in parsed["a"])
