PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# `make scores DATA="folder …"`: folders with images/ and masks/.
DATA ?= data/val/ecssd
DEMO := demo_out
# `make lite`: a name of `hqsam weights list` or a checkpoint, and the sets with how often each pair comes in an epoch.
BASE ?= mobile_sam
LITE_SETS := ecssd duts_tr camo ccp_fashion:0.4 cod10k_part:3 carrot_weed_tiles:0.8 powerlines:1.5 crackforest_thin:2 \
	cwfid_plants:2 balloon product_alpha:12 adobe_alpha:12 scenes:0.75

.PHONY: help demo test lint coverage docs bench gpu scores found lite detector objectness saliency clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/hqsam: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed: set PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV): about 3 minutes and 6 GB (PyTorch with its CUDA libraries)."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@$(BIN)/python -c 'import cv2' || \
		{ echo "OpenCV needs system libraries: apt-get install libgl1 libglib2.0-0"; rm -f $@; exit 1; }
	@touch $@

# sam2 is built before the others, with the PyTorch of this environment: with them, pip would download another for it.
$(VENV)/.test: $(BIN)/hqsam
	$(BIN)/pip install --quiet --disable-pip-version-check setuptools
	SAM2_BUILD_CUDA=0 $(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps sam2==1.1.0
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

demo: $(BIN)/hqsam ## masks of the sample scenes and of two real photos, and a picture of them
	@rm -rf $(DEMO)
	$(BIN)/hqsam segment sample_data/images --boxes sample_data/boxes.json --mask-output hq --windows on \
		--output $(DEMO)/scenes
	@photos=$$($(BIN)/python -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("ultralytics").origin).parent / "assets")'); \
	set -x; $(BIN)/hqsam segment $$photos --boxes sample_data/photos.json --min-region 1% --output $(DEMO)/photos && \
	$(BIN)/python -m hqsam_cli.recipes.contact_sheet $(DEMO)/contact_sheet.png \
		--images $$photos $(DEMO)/photos \
		--images sample_data/images $(DEMO)/scenes
	@echo "Masks:  $(DEMO)/photos/masks, $(DEMO)/scenes/masks"
	@echo "COCO:   $(DEMO)/photos/instances.json, $(DEMO)/scenes/instances.json"
	@echo "Open:   $(DEMO)/contact_sheet.png"

# NumPy for Python 3.10 has older type hints than mypy needs here: there, ruff alone.
lint: $(VENV)/.test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 11))' || { set -x; $(BIN)/mypy; }

# Programs that tests open what is written with, and that need another OpenCV: of each, the newest release whose NumPy
# has a wheel for this Python.
$(VENV)/readers/.done: $(BIN)/hqsam
	$(PYTHON) -m venv $(VENV)/readers
	$(VENV)/readers/bin/pip install --quiet --disable-pip-version-check --only-binary numpy datumaro label-studio-sdk
	@touch $@

test: lint $(VENV)/readers/.done ## ruff, mypy and the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

coverage: $(VENV)/.test ## the test suite, and the lines of the package that it does not run
	$(BIN)/python -m pytest --cov=hqsam_cli --cov-report=term:skip-covered

docs: $(BIN)/hqsam ## docs/cli.md from the commands
	$(BIN)/python -m hqsam_cli.recipes.cli_reference

bench: $(VENV)/.test ## speed and memory beside the authors' package, in pairs
	$(BIN)/python tests/bench/speed.py
	$(BIN)/python tests/bench/masks.py
	$(BIN)/python tests/bench/boundary.py

gpu: $(VENV)/.test ## speed, memory and masks on one GPU, in at most 8 minutes: make gpu [OUT=gpu-results]
	$(BIN)/python tests/bench/gpu.py $(or $(OUT),gpu-results)

scores: $(BIN)/hqsam ## mIoU and mBIoU of GrabCut and of lite on DATA, box prompts
	$(BIN)/python tests/bench/scores.py $(DATA)

found: $(BIN)/hqsam ## what is found in photos alone, and what that costs: make found DATA="coco-folder folder …"
	$(BIN)/python tests/bench/found.py $(DATA)

lite: $(BIN)/hqsam ## train the next embedded model: make lite TRAIN=folder-of-sets OUT=folder [BASE=mobile_sam.pt]
	$(BIN)/hqsam train --model $(BASE) --output $(OUT) $(foreach set,$(LITE_SETS),--data $(TRAIN)/$(set)) \
		--init sam --mask-output both --keep-sam 1 --augmentation strong --prompts 3 --cache 4000 --epochs 5 \
		--batch-size 8 --lr 4e-4 --lr-schedule linear --ema-decay 0.995 --dtype bfloat16 --workers 1
	$(BIN)/hqsam train --model $(OUT)/hqsam.safetensors --output $(OUT)/score \
		$(foreach set,$(LITE_SETS),--data $(TRAIN)/$(set)) --learn score --mask-output auto --keep-sam 1 \
		--augmentation strong --prompts 2 --cache 64 --steps 90 --batch-size 8 --lr 6e-3 --lr-schedule linear \
		--ema-decay 0.95 --dtype bfloat16 --workers 1
	$(BIN)/hqsam weights convert --half --overwrite $(OUT)/score/hqsam.safetensors $(OUT)/lite.safetensors

detector: $(BIN)/hqsam ## train the embedded detector: make detector TRAIN=folder-of-sets VAL=folder OUT=folder
	$(BIN)/python -m hqsam_cli.recipes.detector $(TRAIN) $(OUT) --val $(VAL)

objectness: $(BIN)/hqsam ## fit the objectness score: make objectness TRAIN=folder-of-sets OUT=folder
	$(BIN)/python -m hqsam_cli.recipes.objectness $(TRAIN) $(OUT)

saliency: $(BIN)/hqsam ## train the saliency head: make saliency TRAIN=folder-of-sets OUT=folder
	$(BIN)/python -m hqsam_cli.recipes.saliency $(TRAIN) $(OUT)

clean: ## remove what make made
	rm -rf $(VENV) $(DEMO) .pytest_cache .mypy_cache .ruff_cache *.egg-info
