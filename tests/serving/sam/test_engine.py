"""The engine gives what the official predictor gives, and keeps no state."""

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest
import torch

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.engine import Engine
from serving.sam.errors import ParameterError, PromptError
from serving.sam.families.preprocessing import LongestSide
from serving.sam.images import RgbImage
from serving.sam.masks import decode_mask, mask_box_xywh
from serving.sam.prompted_masks import Prediction
from serving.sam.prompts import Prompt
from tests.conftest import draw_scene

POINT = Prompt(points=((80.0, 95.0),), labels=(1,))
TWO_POINTS = Prompt(points=((80.0, 95.0), (220.0, 80.0)), labels=(1, 0))
BOX = Prompt(box_xyxy=(170.0, 30.0, 280.0, 125.0))
BOTH = Prompt(points=((220.0, 80.0),), labels=(1,), box_xyxy=(170.0, 30.0, 280.0, 125.0))


def official_predictor(engine: Engine, image: RgbImage) -> Any:
    from segment_anything import SamPredictor

    predictor = SamPredictor(engine.checkpoint.sam)
    predictor.set_image(image)
    return predictor


@pytest.mark.parametrize("multimask", [True, False], ids=["three", "one"])
@pytest.mark.parametrize(
    "prompt", [POINT, TWO_POINTS, BOX, BOTH], ids=["point", "two", "box", "both"]
)
def test_predict_equals_the_official_predictor(
    engine: Engine, scene: RgbImage, prompt: Prompt, multimask: bool
) -> None:
    """The encoder's sums are taken in another order, so logits differ by rounding alone."""
    masks, scores, logits = official_predictor(engine, scene).predict(
        point_coords=np.array(prompt.points) if prompt.points else None,
        point_labels=np.array(prompt.labels) if prompt.points else None,
        box=np.array(prompt.box_xyxy) if prompt.box_xyxy else None,
        multimask_output=multimask,
    )
    prediction = engine.predict(engine.embed(scene), prompt, multimask_output=multimask)
    assert (prediction.masks != masks).mean() < 1e-4
    np.testing.assert_allclose(prediction.scores, scores, atol=1e-4)
    np.testing.assert_allclose(prediction.logits, logits, atol=1e-3)
    assert prediction.masks.shape == (3 if multimask else 1, 240, 320)


def test_predict_with_a_mask_input_equals_the_official_predictor(
    engine: Engine, scene: RgbImage
) -> None:
    embedding = engine.embed(scene)
    first = engine.predict(embedding, POINT, multimask_output=True)
    best = int(first.scores.argmax())
    masks, scores, _ = official_predictor(engine, scene).predict(
        point_coords=np.array(TWO_POINTS.points),
        point_labels=np.array(TWO_POINTS.labels),
        mask_input=first.logits[best : best + 1],
        multimask_output=False,
    )
    prediction = engine.predict(
        embedding, TWO_POINTS, multimask_output=False, mask_input=first.logits[best : best + 1]
    )
    assert (prediction.masks != masks).mean() < 1e-4
    np.testing.assert_allclose(prediction.scores, scores, atol=1e-4)


def test_mask_inputs_of_other_types_are_taken_and_of_other_number_or_nan_refused(
    engine: Engine, scene: RgbImage
) -> None:
    embedding = engine.embed(scene)
    logits = engine.predict(embedding, POINT, multimask_output=False).logits
    expected = engine.predict(embedding, POINT, multimask_output=False, mask_input=logits)
    for dtype in (np.float64, np.float16):
        other: Any = logits.astype(dtype)
        found = engine.predict(embedding, POINT, multimask_output=False, mask_input=other)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    for number in (1, 3):
        with pytest.raises(ParameterError, match=f"each of the 2 prompts.*got {number}"):
            engine.predictions(
                embedding, [POINT, BOX], multimask_output=False, mask_inputs=[logits] * number
            )
    with pytest.raises(ParameterError, match="finite"):
        engine.predict(
            embedding, POINT, multimask_output=False, mask_input=np.full_like(logits, np.nan)
        )


def test_segment_gives_one_record_a_prompt_in_order(engine: Engine, scene: RgbImage) -> None:
    records = engine.segment(engine.embed(scene), [POINT, BOX])
    assert [record["prompt"] for record in records] == [POINT.to_json(), BOX.to_json()]
    red = decode_mask(records[0]["segmentation"])
    blue = decode_mask(records[1]["segmentation"])
    assert red[95, 80] and not red[80, 220]
    assert blue[80, 220] and not blue[95, 80]
    for record in records:
        assert record["area"] == decode_mask(record["segmentation"]).sum()
        assert 0 <= record["stability_score"] <= 1


def stability(engine: Engine, prediction: Prediction, number: int) -> float:
    """The official score of one mask of a prediction on the scene."""
    from segment_anything.utils.amg import calculate_stability_score

    logits = torch.from_numpy(prediction.logits[number])[None, None]
    whole = engine.checkpoint.sam.postprocess_masks(logits, (192, 256), (240, 320))
    return float(calculate_stability_score(whole[0], 0.0, 1.0)[0])


def test_segment_gives_what_each_prompt_gets_alone(engine: Engine, scene: RgbImage) -> None:
    """Prompts of all kinds together, more than one batch of some, are what ``predict`` gives."""
    embedding = engine.embed(scene)
    many = [Prompt(points=((20.0 * n + 10, 90.0),), labels=(1,)) for n in range(7)]
    prompts = [POINT, BOX, TWO_POINTS, BOTH, *many]
    for prompt, record in zip(prompts, engine.segment(embedding, prompts), strict=True):
        ambiguous = len(prompt.points) == 1 and prompt.box_xyxy is None
        alone = engine.predict(embedding, prompt, multimask_output=ambiguous)
        best = int(alone.scores.argmax())
        mask = decode_mask(record["segmentation"])
        assert (mask != alone.masks[best]).mean() < 1e-4
        assert record["predicted_iou"] == pytest.approx(float(alone.scores[best]), abs=1e-4)
        assert record["stability_score"] == pytest.approx(stability(engine, alone, best), abs=1e-3)
        assert record["point_coords"] == [list(point) for point in prompt.points]
        assert record["bbox"] == pytest.approx(mask_box_xywh(mask))
    assert engine.segment(embedding, []) == []


def test_predictions_of_many_prompts_are_those_of_each(engine: Engine, scene: RgbImage) -> None:
    """All kinds and some with a mask of their own, more than a batch; numbered, each once."""
    embedding = engine.embed(scene)
    mask = engine.predict(embedding, POINT, multimask_output=True).logits[:1]
    many = [Prompt(points=((12.0 * n + 5, 90.0),), labels=(1,)) for n in range(20)]
    prompts = [TWO_POINTS, BOX, POINT, BOTH, *many]
    masks = [mask, None, None, mask, *[None] * len(many)]
    predictions = dict(
        engine.predictions(embedding, prompts, multimask_output=True, mask_inputs=masks)
    )
    assert sorted(predictions) == list(range(len(prompts)))
    for number, (prompt, given) in enumerate(zip(prompts, masks, strict=True)):
        alone = engine.predict(embedding, prompt, multimask_output=True, mask_input=given)
        assert (alone.masks != predictions[number].masks).mean() < 1e-4
        np.testing.assert_allclose(alone.scores, predictions[number].scores, atol=1e-5)
        np.testing.assert_allclose(alone.logits, predictions[number].logits, atol=1e-3)


def test_segment_names_the_prompt_that_lies_outside(engine: Engine, scene: RgbImage) -> None:
    outside = Prompt(points=((900.0, 10.0),), labels=(1,))
    with pytest.raises(PromptError, match="prompt 1"):
        engine.segment(engine.embed(scene), [POINT, outside])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 700), (900, 2), (256, 256), (33, 40)])
def test_engine_any_image_size_works(engine: Engine, width: int, height: int) -> None:
    image = np.full((height, width, 3), 127, np.uint8)
    assert isinstance(engine.generate(image, AutomaticSettings(points_per_side=2)), list)
    prompt = Prompt(points=((width / 2, height / 2),), labels=(1,))
    prediction = engine.predict(engine.embed(image), prompt, multimask_output=False)
    assert prediction.masks.shape == (1, height, width)


def test_engine_shared_by_threads_gives_each_its_own_answer(engine: Engine) -> None:
    """Eight threads with different images get what each would get alone."""
    images = [draw_scene(100 + 20 * number, 90 + 10 * number) for number in range(8)]
    prompt = Prompt(points=((40.0, 40.0),), labels=(1,))

    def answer(image: RgbImage) -> Any:
        return engine.predict(engine.embed(image), prompt, multimask_output=True)

    alone = [answer(image) for image in images]
    together: list[Any] = [None] * len(images)

    def work(number: int) -> None:
        together[number] = answer(images[number])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for expected, actual in zip(alone, together, strict=True):
        assert (expected.masks == actual.masks).all()
        np.testing.assert_allclose(expected.scores, actual.scores, atol=1e-6)


def test_engine_bf16_stays_close_to_fp32(scene: RgbImage, engine: Engine) -> None:
    """Half the digits, the same masks: IoU of each with the exact one at least 0.97."""
    from serving.sam.known_checkpoints import CHECKPOINTS

    path = CHECKPOINTS["vit_tiny"].embedded_path
    assert path is not None
    half = Engine.load(path, device="cpu", precision="bf16")
    for prompt in (POINT, BOX):
        exact = engine.segment(engine.embed(scene), [prompt])[0]
        quick = half.segment(half.embed(scene), [prompt])[0]
        exact_mask, half_mask = (
            decode_mask(exact["segmentation"]),
            decode_mask(quick["segmentation"]),
        )
        assert (exact_mask & half_mask).sum() / (exact_mask | half_mask).sum() >= 0.97
    assert half.generate(scene)


def test_predict_prompt_outside_the_image_is_refused(engine: Engine, scene: RgbImage) -> None:
    with pytest.raises(PromptError, match=r"\[320, 10\] lies outside"):
        engine.predict(
            engine.embed(scene),
            Prompt(points=((320.0, 10.0),), labels=(1,)),
            multimask_output=True,
        )


def test_predict_mask_input_of_another_shape_is_refused(engine: Engine, scene: RgbImage) -> None:
    with pytest.raises(ParameterError, match=r"expected shape \(1, 128, 128\)"):
        engine.predict(
            engine.embed(scene),
            POINT,
            multimask_output=True,
            mask_input=np.zeros((1, 256, 256), np.float32),
        )


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "rgba", "float", "empty"],
)
def test_engine_wrong_array_is_refused(engine: Engine, image: Any) -> None:
    with pytest.raises(ParameterError, match=r"expected \(H, W, 3\) uint8 RGB"):
        engine.embed(image)


@pytest.mark.parametrize("crops", [0, 1])
def test_an_image_shrunk_ahead_gives_the_same_masks(
    engine: Engine, scene: RgbImage, monkeypatch: pytest.MonkeyPatch, crops: int
) -> None:
    values = dataclasses.replace(
        engine.checkpoint.automatic, points_per_side=4, crop_n_layers=crops
    )
    expected, embedding = engine.generate(scene, values), engine.embed(scene)
    shrunk = engine.shrink(scene)
    assert shrunk.shape == (192, 256, 3) and shrunk.dtype == np.uint8
    assert engine.generate(scene, values, shrunk=shrunk) == expected
    made: list[tuple[int, ...]] = []
    shrink = LongestSide.shrink

    def noted(own: LongestSide, image: RgbImage) -> RgbImage:
        made.append(image.shape)
        return shrink(own, image)

    monkeypatch.setattr(LongestSide, "shrink", noted)
    assert torch.equal(engine.embed(scene, shrunk=shrunk).features, embedding.features)
    assert not made
    engine.generate(scene, values, shrunk=shrunk)
    assert len(made) == (4 if crops else 0)  # the crops alone
    with pytest.raises(ParameterError, match="600x1 pixels"):
        engine.shrink(np.zeros((1, 600, 3), np.uint8))
