# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Fit the decoder to random heads.

    python -m models.training.fit_decoder --minutes 20

Every vertex of a random head must be led to its place on the template, and so must places a little
inside and outside of it, so that the template's distances stay distances.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .decoder import (
    Decoder,
    bending,
    head_normals,
    surface_points,
    template_distances,
    template_head,
)
from .head_model import DEFAULT_MODEL, load_head_model
from .networks import CHECKPOINT
from .studio import Studio

BATCH = 6
RATE = 4e-3
POINTS = 4000
"""Surface points that one step looks at."""

SMOOTHNESS = 0.3


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--output", type=Path, default=Path("models/training/runs/decoder.pt"))
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--heads", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, default=CHECKPOINT, help="weights to begin from")
    parser.add_argument("--from-scratch", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    model = load_head_model(arguments.model)
    studio = Studio(model, np.arange(0))
    chosen, weight = surface_points(model)
    template = template_head(model)
    template_normals = torch.from_numpy(head_normals(model, template)[chosen])
    template_points = torch.from_numpy(template[chosen])
    heads = np.stack([studio.coefficients(rng) for _ in range(arguments.heads)])
    points = np.empty((len(heads), len(chosen), 3), dtype=np.float32)
    normals = np.empty((len(heads), len(chosen), 3), dtype=np.float16)
    landmarks = np.empty((len(heads), 68, 3), dtype=np.float32)
    for i, coefficients in enumerate(tqdm(heads, unit="head", desc="heads")):
        vertices = model.shape(coefficients)
        points[i] = vertices[chosen]
        normals[i] = head_normals(model, vertices)[chosen]
        landmarks[i] = vertices[model.landmarks]
    held_out = 60
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    decoder = Decoder(heads.shape[1]).to(device)
    neutral_landmarks = torch.from_numpy(model.neutral[model.landmarks].reshape(-1))
    decoder.landmarks.bias.data = neutral_landmarks.to(device)
    if arguments.start.exists() and not arguments.from_scratch:
        decoder.load_state_dict(torch.load(arguments.start, map_location=device)["decoder"])
    optimiser = torch.optim.Adam(decoder.parameters(), lr=RATE)
    weights = torch.from_numpy(weight)[:, None].to(device)
    template_points, template_normals = template_points.to(device), template_normals.to(device)
    limit, start, step = arguments.minutes * 60.0, time.monotonic(), 0
    bar = tqdm(total=round(limit), unit="s")
    while (spent := time.monotonic() - start) < limit:
        rate = RATE * 0.5 * (1.0 + math.cos(math.pi * spent / limit)) + 1e-5
        for group in optimiser.param_groups:
            group["lr"] = rate
        rows = rng.integers(held_out, len(heads), BATCH)
        coefficients = torch.from_numpy(heads[rows]).to(device)
        fields = decoder.fields(coefficients)
        away = torch.randn(BATCH, POINTS, 1, device=device) * 0.5
        some = rng.choice(len(chosen), POINTS, replace=False)
        away[:, ::2] = 0.0
        start_points = torch.from_numpy(points[rows][:, some]).to(device)
        outwards = torch.from_numpy(normals[rows][:, some].astype(np.float32)).to(device)
        start_points = start_points + away * outwards
        target = template_points[some] + away * template_normals[some]
        moved = decoder.displacement(fields, start_points[:, None, None])[:, 0, 0]
        gap = (start_points + moved - target).norm(dim=2, keepdim=True)
        fit = (gap * weights[some] * torch.exp(-2.0 * away.abs())).mean()
        true_marks = torch.from_numpy(landmarks[rows]).to(device)
        marks = decoder.landmarks(coefficients).view(-1, 68, 3) - true_marks
        loss = fit + SMOOTHNESS * bending(fields) + marks.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        now = time.monotonic() - start
        bar.update(min(round(now), round(limit)) - bar.n)
        if step % 50 == 0:
            bar.set_postfix(fit=f"{fit.item() * 10:.2f} mm", steps=step)
    with torch.no_grad():
        errors = []
        for i in range(held_out):
            fields = decoder.fields(torch.from_numpy(heads[i : i + 1]).to(device))
            start_points = torch.from_numpy(points[i : i + 1])[:, None, None].to(device)
            moved = decoder.displacement(fields, start_points) + start_points
            errors.append((moved[0, 0, 0] - template_points).norm(dim=1).cpu().numpy())
    errors = np.stack(errors) * 10.0
    print(
        f"{step} steps; held-out heads: mean {errors.mean():.2f} mm, "
        f"95 % {np.quantile(errors, 0.95):.2f} mm"
    )
    distances = torch.from_numpy(template_distances(model))
    torch.save({"decoder": decoder.cpu().state_dict(), "template": distances}, arguments.output)


if __name__ == "__main__":
    main()
