# Every target is one command, `pose-oad <command>`; anything in conf/ can be overridden through ARGS.
STRATEGY ?= random
RATE ?= 0.10
SEED ?= 0
STUDENT ?= small
STUDY ?= compare_strategies
WORKERS ?= 2
RUN ?=
RESUME ?=
CHECKPOINT ?= $(DEFAULT)
CHECKPOINTS ?= $(CHECKPOINT)
SOURCE ?=
VIDEO ?=
ROOT ?=
TEACHER ?= onnx
OUT ?=
ARGS ?=
PORT ?= 5000
N ?= 50
FORMAT ?= coco

# What is set on the command line and is none of these is a mistake: make would take no notice of it.
OPTIONS := $(shell sed -n 's/^\([A-Z]*\) ?=.*/\1/p' $(firstword $(MAKEFILE_LIST)))
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(filter-out $(OPTIONS) PYTHON -% MAKE%,$(GIVEN)),$(error $(name)=$($(name)): no such option; expected $(OPTIONS)))

PYTHON := .venv/bin/python
SETUP := .venv/.complete
DATA := data/synthetic/contact_sheet.png
PRETRAINED := checkpoints/$(STUDENT)/best.ckpt
# A student starts from the weights that ship with the package, or from its own pre-training; of these only the default
# is made.
DEFAULT := $(or $(wildcard pose_oad/students/weights/$(STUDENT).safetensors),$(PRETRAINED))
NAMED := $(filter-out $(DEFAULT),$(CHECKPOINT))
STUDENT_WEIGHTS := $(if $(NAMED)$(filter checkpoint=%,$(ARGS)),,$(filter $(PRETRAINED),$(DEFAULT)))
# Photographs of their own for the weights that ship
PICTURES := $(if $(filter experiment=release,$(ARGS)),data/release/contact_sheet.png,$(DATA))

# An option that has a default here and another one in a command is passed on where it was set.
given = $(if $(filter command,$(firstword $(origin $(1)))),$(2)=$($(1)))

.DEFAULT_GOAL := help
.PHONY: help setup data pretrain adapt online live finetune sweep report strategies look frames replay sync predict evaluate teacher-eval profile export ui lint docs test test-fast bench clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\n  Options: STRATEGY=%s RATE=%s SEED=%s STUDENT=%s STUDY=%s WORKERS=%s ARGS="key=value …"\n' \
	  '$(STRATEGY)' '$(RATE)' '$(SEED)' '$(STUDENT)' '$(STUDY)' '$(WORKERS)'
	@printf '  Every key: `.venv/bin/pose-oad <command> --help`\n'

# What the commands need is made by one make at a time: another one waits, and then finds it there.
$(SETUP): requirements.txt pyproject.toml
$(DATA) data/release/contact_sheet.png: | $(SETUP)
$(PRETRAINED): | $(DATA)
ifndef ALONE
$(SETUP) $(DATA) data/release/contact_sheet.png $(PRETRAINED):
	@python3 -m pose_oad.tracking.locks --wait .make env ALONE=1 $(MAKE) --no-print-directory $@
else
$(SETUP):
	test -x $(PYTHON) || python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
$(DATA):
	$(PYTHON) -m pose_oad.cli data
data/release/contact_sheet.png:
	$(PYTHON) -m pose_oad.cli data experiment=release_pictures
$(PRETRAINED):
	$(PYTHON) -m pose_oad.cli pretrain student=$(STUDENT)
endif

setup: $(SETUP)  ## make .venv and install the pinned packages

data: $(SETUP)  ## make the embedded data set, or prepare what you own (SOURCE=human36m ROOT=/path)
	$(PYTHON) -m pose_oad.cli data $(if $(SOURCE),source=$(SOURCE)) $(if $(ROOT),root="'$(ROOT)'") $(ARGS)

pretrain: $(PICTURES)  ## pre-train a student on COCO keypoints (STUDENT)
	$(PYTHON) -m pose_oad.cli pretrain student=$(STUDENT) $(ARGS)

adapt: $(SETUP) $(STUDENT_WEIGHTS)  ## adapt to a video, a folder of them or a webcam: verdict, overlay, page, ONNX file (VIDEO, TEACHER, RATE)
	$(PYTHON) -m pose_oad.cli adapt video="'$(VIDEO)'" $(if $(filter command,$(firstword $(origin TEACHER))),teacher_from=$(TEACHER)) rate=$(RATE) checkpoint=$(CHECKPOINT) $(ARGS)

online: $(SETUP) $(DATA) $(STUDENT_WEIGHTS)  ## run a stream: choose, label, distil (STRATEGY, RATE, SEED, STUDENT, CHECKPOINT; or RESUME=id, name, folder or last)
	$(PYTHON) -m pose_oad.cli online $(if $(RESUME),resume="'$(RESUME)'",strategy=$(STRATEGY) rate=$(RATE) seed.base=$(SEED) student=$(STUDENT) $(NAMED:%=checkpoint=%)) $(ARGS)

live: $(SETUP) $(STUDENT_WEIGHTS)  ## serve a camera, a URL or a file, and keep adapting (SOURCE, TEACHER=choice or file.onnx, STRATEGY, RATE)
	$(PYTHON) -m pose_oad.cli live camera.path="'$(SOURCE)'" $(if $(filter %.onnx,$(TEACHER)),teacher=onnx teacher.path=$(TEACHER),teacher=$(TEACHER)) $(call given,RATE,rate) $(call given,STRATEGY,strategy) $(NAMED:%=checkpoint=%) $(ARGS)

finetune: $(SETUP) $(DATA) $(STUDENT_WEIGHTS)  ## the offline study: choose in videos, train on all, test on other people (as online)
	$(PYTHON) -m pose_oad.cli finetune strategy=$(STRATEGY) rate=$(RATE) seed.base=$(SEED) student=$(STUDENT) $(NAMED:%=checkpoint=%) $(ARGS)

sweep: $(SETUP) $(DATA) $(STUDENT_WEIGHTS)  ## run a study, or go on with it (STUDY, WORKERS)
	$(PYTHON) -m pose_oad.cli sweep study=$(STUDY) workers=$(WORKERS) $(ARGS)

report: $(SETUP)  ## tables, figures and a page of a study (STUDY), or STUDY=null of every run
	$(PYTHON) -m pose_oad.cli report study_name=$(STUDY) $(ARGS)

strategies: $(SETUP)  ## list query strategies and triggers with source and cost
	$(PYTHON) -m pose_oad.cli strategies $(ARGS)

look: $(SETUP)  ## open the page of a run: verdict, time line, frames (RUN=id, name, folder or last)
	$(PYTHON) -m pose_oad.cli look run="'$(or $(RUN),last)'" $(ARGS)

frames: $(SETUP)  ## write labelled frames of a run to be corrected in CVAT or Label Studio (RUN, N, FORMAT=coco|cvat|labelstudio, OUT)
	$(PYTHON) -m pose_oad.cli frames run="'$(or $(RUN),last)'" count=$(N) format=$(FORMAT) $(OUT:%=output=%) $(ARGS)

replay: $(SETUP)  ## do a run again and compare (RUN=id, name, folder or last)
	$(PYTHON) -m pose_oad.cli replay run="'$(or $(RUN),last)'" $(ARGS)

predict: $(SETUP)  ## draw poses into a video and write them to a file (CHECKPOINT, SOURCE, OUT)
	$(PYTHON) -m pose_oad.cli predict checkpoint=$(CHECKPOINT) source="'$(SOURCE)'" output.video=$(OUT) $(ARGS)

evaluate: $(SETUP)  ## errors of checkpoints on a stream, or with ARGS="on=coco" on a COCO set (CHECKPOINTS=a.ckpt,b.onnx)
	$(PYTHON) -m pose_oad.cli evaluate checkpoints=[$(CHECKPOINTS)] $(ARGS)

teacher-eval: $(SETUP)  ## a teacher's errors on a stream, or with ARGS="on=coco" on a COCO set (TEACHER)
	$(PYTHON) -m pose_oad.cli teacher-eval teacher=$(TEACHER) $(ARGS)

profile: $(SETUP) $(DATA) $(STUDENT_WEIGHTS)  ## measure this machine for clock=profile (STUDENT, CHECKPOINT)
	$(PYTHON) -m pose_oad.cli profile student=$(STUDENT) $(NAMED:%=checkpoint=%) $(ARGS)

export: $(SETUP)  ## write a student as an ONNX file or trt_pose's .pth, checked against the original (CHECKPOINT, OUT)
	$(PYTHON) -m pose_oad.cli export checkpoint=$(CHECKPOINT) output.file=$(OUT) $(ARGS)

sync: $(SETUP)  ## deliver records that the tracking store could not take
	$(PYTHON) -m pose_oad.cli sync $(ARGS)

ui: $(SETUP)  ## compare runs in the browser: MLflow on 127.0.0.1 (PORT)
	@$(PYTHON) -c 'import socket; socket.create_server(("127.0.0.1", $(PORT))).close()' 2> /dev/null \
	  || { echo 'error: PORT=$(PORT): in use; expected a free one, as make ui PORT=5001' >&2; exit 2; }
	.venv/bin/mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db --host 127.0.0.1 --port $(PORT)

lint: $(SETUP)  ## check style and types
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy pose_oad datamodules callbacks benchmarks && .venv/bin/lint-imports

docs: $(SETUP)  ## make a site of docs/ in build/site (pip install "pose_oad[docs]")
	@$(PYTHON) -c 'import mkdocs' 2> /dev/null || { echo 'error: mkdocs is not installed; .venv/bin/pip install "mkdocs-material>=9.6,<10"'; exit 2; }
	$(PYTHON) -m mkdocs build --strict $(ARGS)

# A process per core, each with one thread.
TEST := OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --dist worksteal

test: $(SETUP)  ## run every test
	$(TEST) $(ARGS)

test-fast: $(SETUP)  ## run the tests that take seconds
	$(TEST) -m "not slow" $(ARGS)

bench: $(SETUP) $(DATA) $(STUDENT_WEIGHTS)  ## measure speed side by side with bare loops
	$(PYTHON) -m benchmarks.__main__ $(ARGS)

clean:  ## remove everything generated but .venv (data, checkpoints, runs, tracking store), unless a command runs
	@python3 -m pose_oad.tracking.locks .commands rm -rf data checkpoints runs mlruns/mlflow.db mlruns/artifacts
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	rm -rf .pytest_cache .ruff_cache .mypy_cache build *.egg-info
