# onnxd: `make run` serves the bundled model, `make test` runs every test. Each does all it needs.
BUILD_DIR ?= build
BUILD_TYPE ?= Release
ifeq ($(origin CC),default)
CC = gcc
endif
JOBS ?= $(shell nproc)
PORT ?= 3000
MODEL ?= models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx
CMAKE_FLAGS ?=

.DEFAULT_GOAL := all
.PHONY: all build deps deps-build deps-test deps-bench run test model bench install deb format check-format fuzz clean

all: deps-build build

deps: ## installs every package of packages.txt that is missing
	@tools/install_packages packages.txt build test bench

deps-build deps-test deps-bench: deps-%:
	@tools/install_packages packages.txt $*

build:
	@cmake -S . -B $(BUILD_DIR) -DCMAKE_BUILD_TYPE=$(BUILD_TYPE) -DCMAKE_C_COMPILER=$(CC) \
	  $(CMAKE_FLAGS) > $(BUILD_DIR).log 2>&1 || { cat $(BUILD_DIR).log; exit 1; }
	@cmake --build $(BUILD_DIR) -j $(JOBS) -- --no-print-directory

run: all
	exec $(BUILD_DIR)/onnxd serve --model $(MODEL) --port $(PORT)

test: deps-build deps-test build
	tools/run_tests $(BUILD_DIR)

model: deps-build build
	tools/make_model $(BUILD_DIR)

bench: deps-build deps-bench build
	bench/run $(BUILD_DIR)

install: all
	cmake --install $(BUILD_DIR) $(if $(PREFIX),--prefix $(PREFIX))

deb: all ## Debian packages: build/onnxd_VERSION_ARCH.deb and the library's
	@tools/install_packages packages.txt package
	cd $(BUILD_DIR) && cpack > cpack.log 2>&1 || { cat cpack.log; exit 1; }
	@ls $(BUILD_DIR)/*.deb

fuzz: deps-build deps-test
	tests/fuzz/run $(or $(FUZZ_SECONDS),60)

format:
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

check-format:
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror

clean:
	rm -rf build build-* build*.log
