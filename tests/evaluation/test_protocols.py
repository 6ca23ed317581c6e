"""The protocol `paper` against the authors' evaluation, step by step, with their own package."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from hqsam_cli.evaluation.prompts import draw_prompt, prompt_rules, random_generator
from hqsam_cli.evaluation.protocols import Evaluator
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_model


@pytest.fixture(scope="module")
def photos() -> list[tuple[np.ndarray, np.ndarray]]:
    """Noise of several sizes and shapes, with a blob each."""
    rng = np.random.default_rng(3)
    pairs = []
    for height, width in ((150, 210), (300, 123)):
        image = cv2.resize(rng.integers(0, 256, (15, 20, 3), np.uint8), (width, height))
        gt = np.zeros((height, width), np.uint8)
        cv2.ellipse(gt, (width // 2, height // 3), (width // 3, height // 5), 20, 0, 360, 255, -1)
        # Gray edges: squashed before or after the threshold, they make different boxes.
        pairs.append((image, cv2.GaussianBlur(gt, (0, 0), 4)))
    return pairs


def authors_mask(theirs: torch.nn.Module, image: np.ndarray, values: np.ndarray, kind: str) -> np.ndarray:
    """Squash, box or mask of the squashed gt, the HQ token's logits, one resize."""
    pixels = torch.from_numpy(image).float().permute(2, 0, 1)[None]
    squashed = functional.interpolate(pixels, (1024, 1024), mode="bilinear")[0]
    label = torch.from_numpy(values.astype(np.float32))[None, None]
    label = functional.interpolate(label, (1024, 1024), mode="bilinear")[0, 0]
    ys, xs = torch.where(label > 128)
    box = torch.stack([xs.min(), ys.min(), xs.max(), ys.max()]).float()[None]
    whole = torch.from_numpy(squashed.permute(1, 2, 0).numpy().astype(np.uint8)).permute(2, 0, 1)
    embedding, interm = theirs.image_encoder(theirs.preprocess(whole)[None])  # type: ignore[operator]
    mask = 255 * (functional.interpolate(255.0 * (label > 128)[None, None], (256, 256), mode="bilinear") > 127.5)
    prompt = {"boxes": box, "masks": None} if kind == "box" else {"boxes": None, "masks": mask.float()}
    sparse, dense = theirs.prompt_encoder(points=None, **prompt)  # type: ignore[operator]
    interm = interm if isinstance(interm, list) else [interm]
    logits, _ = theirs.mask_decoder(  # type: ignore[operator]
        image_embeddings=embedding,
        image_pe=theirs.prompt_encoder.get_dense_pe(),  # type: ignore[operator, union-attr]
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
        hq_token_only=True,
        interm_embeddings=interm,
    )
    return (functional.interpolate(logits, values.shape, mode="bilinear")[0, 0] > 0).numpy()


@torch.no_grad()
@pytest.mark.parametrize(("architecture", "kind"), [("vit_tiny", "box"), ("vit_tiny", "mask"), ("vit_b", "box")])
def test_the_paper_protocol_is_the_authors_evaluation(
    architecture: str, kind: str, photos: list[tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    from segment_anything_hq import sam_model_registry

    torch.manual_seed(5)
    theirs = sam_model_registry[architecture](checkpoint=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    evaluator = Evaluator(Predictor(load_model(tmp_path / "model.pth")), "paper", ["hq"])
    rule = prompt_rules(kind)[0]
    # One photo is enough for the slow one: what differs from photo to photo is not the encoder.
    for image, values in photos[: 1 if architecture == "vit_b" else 2]:
        gt = values > 128
        squashed = evaluator.to_prompt_pixels(values)
        prompt = draw_prompt(rule, squashed, random_generator(0, ""), inclusive=True, coarse=squashed)
        ours = evaluator.masks(evaluator.prepare(image), [prompt])["hq"][0][0]
        authors = authors_mask(theirs, image, values, kind)
        assert 0.02 < authors.mean() < 0.98, "a mask that says something"
        assert iou(ours, gt) == pytest.approx(iou(authors, gt), abs=1e-3)
        assert iou(ours, authors) > 0.995


@pytest.mark.parametrize("output", ["sam", "hq", "sum"])
def test_the_deploy_protocol_is_hqsam_segment(output: str, photos: list[tuple[np.ndarray, np.ndarray]]) -> None:
    from hqsam_cli.weights.hub import find_checkpoint

    model = load_model(find_checkpoint("lite"))
    evaluator = Evaluator(Predictor(model, prompts_per_batch=2), "deploy", ["sam", "hq", "sum"])
    prompts = [Prompt(1, box=(10, 20, 100, 90)), Prompt(2, box=(5, 5, 60, 120)), Prompt(3, box=(30, 3, 110, 80))]
    image = photos[0][0]
    predictor = Predictor(model, mask_output=output, prompts_per_batch=2)  # type: ignore[arg-type]
    (instances,) = predictor.predict_batch([image], [prompts])
    masks, estimates = evaluator.masks(evaluator.prepare(image), prompts)[output]  # type: ignore[index]
    for instance, mask, estimate in zip(instances, masks, estimates, strict=True):
        assert np.array_equal(instance.mask.full(), mask)
        assert instance.predicted_iou == pytest.approx(estimate, abs=1e-5)
