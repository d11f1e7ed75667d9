#!/usr/bin/env python3
"""Writes the models of this folder, their inputs, and the answers of ONNX Runtime.

usage: NODE_PATH=.../node_modules make_models.py [NAME...]    (python3-onnx, numpy, node, onnxruntime-node)

Each model is a folder in the layout of the official ONNX tests: model.onnx, test_data_set_0/input_N.pb and
output_N.pb. The answers were written by ONNX Runtime 1.30.0 (CPU, one thread, no optimisation).
Everything is drawn from seeds, so that a second run writes the same files.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
MODELS = {}  # name -> (model, inputs)
TYPES = {np.dtype(t): n for t, n in [
    ("float32", "float32"), ("float64", "float64"), ("int64", "int64"), ("int32", "int32"), ("uint8", "uint8"),
    ("int8", "int8"), ("bool", "bool"), ("float16", "float16")]}


def elem(array):
    return TensorProto.STRING if array.dtype.kind in "OU" else helper.np_dtype_to_tensor_dtype(array.dtype) \
        if hasattr(helper, "np_dtype_to_tensor_dtype") else onnx.mapping.NP_TYPE_TO_TENSOR_TYPE[array.dtype]


def model(name, nodes, inputs, outputs, initializers=(), opset=13, ml=3, functions=(), custom=None):
    """inputs: {name: array}; outputs: {name: element type}. Batch and all other sizes are left open."""
    infos = [helper.make_tensor_value_info(n, elem(a), [None] * a.ndim) for n, a in inputs.items()]
    outs = [helper.make_tensor_value_info(n, t, None) for n, t in outputs.items()]
    inits = [numpy_helper.from_array(a, n) for n, a in dict(initializers).items()]
    graph = helper.make_graph(nodes, name, infos, outs, inits)
    opsets = [helper.make_opsetid("", opset)]
    if ml and any(n.domain == "ai.onnx.ml" for n in nodes):
        opsets.append(helper.make_opsetid("ai.onnx.ml", ml))
    if custom:
        opsets.append(helper.make_opsetid(custom, 1))
    made = helper.make_model(graph, opset_imports=opsets, producer_name="onnxd tests")
    made.ir_version = 8
    made.functions.extend(functions)
    MODELS[name] = (made, inputs)


def ml_node(op, inputs, outputs, **attributes):
    attributes = {k: v for k, v in attributes.items() if v is not None}
    return helper.make_node(op, inputs, outputs, domain="ai.onnx.ml", **attributes)


# ---- trees -----------------------------------------------------------------------------------------------

def forest(rng, n_trees, depth, n_features, n_outputs, modes, kind, weights="one", missing=False, low=-1.0):
    """Attributes of random trees. weights: how many outputs a leaf names ("one", "all", or a fixed id)."""
    a = {k: [] for k in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
                         "missing_value_tracks_true")}
    w = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}

    def grow(tree, level):
        at = len([t for t in a["treeids"] if t == tree])
        leaf = level == depth or (level > 1 and rng.random() < 0.15)
        a["treeids"].append(tree)
        a["nodeids"].append(at)
        a["featureids"].append(0 if leaf else int(rng.integers(n_features)))
        a["modes"].append("LEAF" if leaf else str(rng.choice(modes)))
        value = float(np.float32(np.round(rng.normal() * 2) / 2)) if "EQ" in a["modes"][-1][-3:] \
            else float(np.float32(rng.normal()))
        a["values"].append(0.0 if leaf else value)
        a["missing_value_tracks_true"].append(int(rng.integers(2)) if missing and not leaf else 0)
        place = len(a["treeids"]) - 1
        a["truenodeids"].append(0)
        a["falsenodeids"].append(0)
        if leaf:
            ids = range(n_outputs) if weights == "all" else \
                [int(rng.integers(n_outputs))] if weights == "one" else [weights]
            for i in ids:
                w["treeids"].append(tree)
                w["nodeids"].append(at)
                w["ids"].append(i)
                w["weights"].append(float(np.float32(rng.uniform(low, 1) / n_trees)))
        else:
            a["truenodeids"][place] = grow(tree, level + 1)
            a["falsenodeids"][place] = grow(tree, level + 1)
        return at

    for t in range(n_trees):
        grow(t, 0)
    out = {"nodes_" + k: v for k, v in a.items()}
    if not missing:
        del out["nodes_missing_value_tracks_true"]
    prefix = "class" if kind == "classifier" else "target"
    out.update({f"{prefix}_{k}": v for k, v in w.items()})
    return out


def rows(rng, n, width, kind="float32", halves=False):
    x = rng.normal(size=(n, width))
    if halves:
        x = np.round(x * 2) / 2
    return (x * 3 if kind.startswith("int") else x).astype(kind)


def tree_classifier(name, seed, n_classes, trees, n=21, strings=False, kind="float32", nan=False, transform=None,
                    base=None, f64=False):
    rng = np.random.default_rng(seed)
    attributes = forest(rng, n_features=5, n_outputs=n_classes, kind="classifier", **trees)
    labels = {"classlabels_strings": [f"class {i}" for i in range(n_classes)]} if strings else \
        {"classlabels_int64s": [10 * i + 3 if n_classes > 2 else i for i in range(n_classes)]}
    x = rows(rng, n, 5, kind, halves=any("EQ" in m for m in trees["modes"]))
    if nan:
        x[rng.random(x.shape) < 0.3] = np.nan
    if f64:
        for key in ("nodes_values", "class_weights"):
            attributes[key + "_as_tensor"] = numpy_helper.from_array(np.array(attributes.pop(key), np.float64))
    node = ml_node("TreeEnsembleClassifier", ["x"], ["label", "scores"], post_transform=transform,
                   base_values=base, **attributes, **labels)
    model(name, [node], {"x": x}, {"label": TensorProto.STRING if strings else TensorProto.INT64,
                                   "scores": TensorProto.FLOAT}, ml=3 if f64 else 1)


def tree_regressor(name, seed, n_targets, trees, n=21, kind="float32", nan=False, transform=None, base=None,
                   aggregate=None, f64=False):
    rng = np.random.default_rng(seed)
    attributes = forest(rng, n_features=5, n_outputs=n_targets, kind="regressor", **trees)
    x = rows(rng, n, 5, kind, halves=any("EQ" in m for m in trees["modes"]))
    if nan:
        x[rng.random(x.shape) < 0.3] = np.nan
    if f64:
        for key in ("nodes_values", "target_weights"):
            attributes[key + "_as_tensor"] = numpy_helper.from_array(np.array(attributes.pop(key), np.float64))
    node = ml_node("TreeEnsembleRegressor", ["x"], ["y"], n_targets=n_targets, post_transform=transform,
                   base_values=base, aggregate_function=aggregate, **attributes)
    model(name, [node], {"x": x}, {"y": TensorProto.FLOAT}, ml=3 if f64 else 1)


def trees():
    leq, lt, every = ["BRANCH_LEQ"], ["BRANCH_LT"], ["BRANCH_" + m for m in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")]
    small = dict(n_trees=7, depth=4, modes=leq)
    for i, transform in enumerate(["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]):
        low = 0.4 if transform == "PROBIT" else -1.0  # probabilities well away from 0.5, where rounding is magnified
        t = transform.lower()
        tree_classifier(f"tree_classifier_3_{t}", 100 + i, 3, dict(small, weights="all", low=low), transform=transform)
        if transform != "PROBIT":
            tree_classifier(f"tree_classifier_2_{t}", 110 + i, 2, dict(small, weights=0), transform=transform)
            tree_classifier(f"tree_classifier_2_positive_{t}", 120 + i, 2, dict(small, weights=0, low=0.0),
                            transform=transform)
        tree_classifier(f"tree_classifier_2_both_{t}", 130 + i, 2, dict(small, weights="all", low=low),
                        transform=transform)
        tree_regressor(f"tree_regressor_3_{t}", 140 + i, 3, dict(small, weights="all", low=low), transform=transform)
    tree_classifier("tree_classifier_2_second", 150, 2, dict(small, weights=1, low=0.0))
    tree_classifier("tree_classifier_2_base1", 151, 2, dict(small, weights=0), base=[0.25], transform="LOGISTIC")
    tree_classifier("tree_classifier_2_base2", 152, 2, dict(small, weights=0), base=[0.25, -0.5])
    tree_classifier("tree_classifier_3_base", 153, 3, dict(small, weights="one"), base=[0.25, -0.5, 0.125],
                    transform="SOFTMAX")
    tree_classifier("tree_classifier_strings", 154, 4, dict(small, weights="all", low=0.0), strings=True)
    tree_classifier("tree_classifier_modes", 155, 3, dict(small, weights="one", modes=every))
    tree_classifier("tree_classifier_missing", 156, 3, dict(small, weights="one", missing=True, modes=lt), nan=True)
    tree_classifier("tree_classifier_nan", 157, 3, dict(small, weights="one"), nan=True)
    tree_classifier("tree_classifier_int64", 158, 3, dict(small, weights="one"), kind="int64")
    tree_classifier("tree_classifier_float64", 159, 3, dict(small, weights="one"), kind="float64", f64=True)
    tree_classifier("tree_classifier_one_row", 160, 3, dict(small, n_trees=70, weights="one"), n=1)
    tree_classifier("tree_classifier_many_rows", 161, 2, dict(small, weights=0, modes=lt), n=150)
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        tree_regressor(f"tree_regressor_{aggregate.lower()}", 170, 1, dict(small, weights=0), aggregate=aggregate,
                       base=[0.5])
        tree_regressor(f"tree_regressor_2_{aggregate.lower()}", 171, 2, dict(small, weights="one"),
                       aggregate=aggregate)
    tree_regressor("tree_regressor_lt_deep", 172, 1, dict(small, n_trees=40, depth=8, weights=0, modes=lt), n=100)
    tree_regressor("tree_regressor_one_row", 173, 1, dict(small, n_trees=83, weights=0), n=1)
    tree_regressor("tree_regressor_missing", 174, 1, dict(small, weights=0, missing=True), nan=True)
    tree_regressor("tree_regressor_float64", 175, 1, dict(small, weights=0), kind="float64", f64=True)
    for mode in every:
        tree_regressor(f"tree_regressor_{mode.lower()}", 176, 1, dict(small, weights=0, modes=[mode]), n=19)


# ---- linear and support vector machines -------------------------------------------------------------------

def linear():
    for i, transform in enumerate(["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]):
        rng = np.random.default_rng(200 + i)
        scale = 0.02 if transform == "PROBIT" else 1.0
        shift = 0.75 if transform == "PROBIT" else 0.0
        c = (rng.normal(size=(3, 4)) * scale).astype(np.float32)
        b = (rng.normal(size=3) * scale + shift).astype(np.float32)
        x = rows(rng, 9, 4)
        t = transform.lower()
        out = {"label": TensorProto.INT64, "scores": TensorProto.FLOAT}
        model(f"linear_classifier_3_{t}", [ml_node("LinearClassifier", ["x"], ["label", "scores"],
              coefficients=c.ravel(), intercepts=b, classlabels_ints=[5, 6, 9], post_transform=transform)],
              {"x": x}, out, ml=1)
        if transform != "PROBIT":  # ONNX Runtime leaves half of these scores unwritten
            model(f"linear_classifier_2_{t}", [ml_node("LinearClassifier", ["x"], ["label", "scores"],
                  coefficients=c[0], intercepts=b[:1], classlabels_ints=[5, 6], post_transform=transform)],
                  {"x": x}, out, ml=1)
        model(f"linear_regressor_3_{t}", [ml_node("LinearRegressor", ["x"], ["y"], targets=3,
              coefficients=c.ravel(), intercepts=b, post_transform=transform)], {"x": x},
              {"y": TensorProto.FLOAT}, ml=1)
    rng = np.random.default_rng(210)
    c = rng.normal(size=(2, 4)).astype(np.float32)
    model("linear_classifier_strings", [ml_node("LinearClassifier", ["x"], ["label", "scores"],
          coefficients=c.ravel(), intercepts=[0.1, -0.1], classlabels_strings=["no", "yes"], post_transform="SOFTMAX")],
          {"x": rows(rng, 6, 4, "float64")}, {"label": TensorProto.STRING, "scores": TensorProto.FLOAT}, ml=1)
    model("linear_regressor_plain", [ml_node("LinearRegressor", ["x"], ["y"], coefficients=c[0])],
          {"x": rows(rng, 6, 4)}, {"y": TensorProto.FLOAT}, ml=1)


def svm():
    for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        rng = np.random.default_rng(220)
        params = [0.4, 0.5, 3.0]
        v = rng.normal(size=(6, 4)).astype(np.float32)
        co = rng.normal(size=6).astype(np.float32)
        k = kernel.lower()
        model(f"svm_regressor_{k}", [ml_node("SVMRegressor", ["x"], ["y"], kernel_type=kernel, kernel_params=params,
              support_vectors=v.ravel(), coefficients=co, rho=[0.3], n_supports=6)], {"x": rows(rng, 7, 4)},
              {"y": TensorProto.FLOAT}, ml=1)
        for n_classes, per in ((2, [2, 4]), (3, [2, 3, 1])):
            pairs = n_classes * (n_classes - 1) // 2
            for proba in (False, True):
                co2 = rng.normal(size=(n_classes - 1, 6)).astype(np.float32)
                model(f"svm_classifier_{n_classes}_{k}{'_proba' if proba else ''}",
                      [ml_node("SVMClassifier", ["x"], ["label", "scores"], kernel_type=kernel, kernel_params=params,
                               support_vectors=v.ravel(), coefficients=co2.ravel(), vectors_per_class=per,
                               rho=rng.normal(size=pairs).astype(np.float32),
                               prob_a=(-rng.random(pairs) - 0.5).astype(np.float32) if proba else None,
                               prob_b=rng.normal(size=pairs).astype(np.float32) if proba else None,
                               classlabels_ints=list(range(4, 4 + n_classes)))],
                      {"x": rows(rng, 7, 4)}, {"label": TensorProto.INT64, "scores": TensorProto.FLOAT}, ml=1)
    rng = np.random.default_rng(230)
    model("svm_regressor_one_class", [ml_node("SVMRegressor", ["x"], ["y"], kernel_type="RBF", one_class=1,
          kernel_params=[0.4, 0.0, 0.0], support_vectors=rng.normal(size=12).astype(np.float32),
          coefficients=[0.5, 0.25, 0.7], rho=[-0.6], n_supports=3)], {"x": rows(rng, 8, 4)},
          {"y": TensorProto.FLOAT}, ml=1)
    c = rng.normal(size=(3, 4)).astype(np.float32)
    model("svm_classifier_liblinear", [ml_node("SVMClassifier", ["x"], ["label", "scores"], kernel_type="LINEAR",
          kernel_params=[0.0, 0.0, 0.0], coefficients=c.ravel(), rho=[0.2], classlabels_strings=["a", "b", "c"])], {"x": rows(rng, 8, 4)},
          {"label": TensorProto.STRING, "scores": TensorProto.FLOAT}, ml=1)
    model("svm_classifier_2_logistic", [ml_node("SVMClassifier", ["x"], ["label", "scores"], kernel_type="LINEAR",
          kernel_params=[0.0, 0.0, 0.0], support_vectors=rng.normal(size=12).astype(np.float32),
          coefficients=[0.5, -0.25, 0.7], rho=[-0.6],
          vectors_per_class=[2, 1], post_transform="LOGISTIC", classlabels_ints=[0, 1])], {"x": rows(rng, 8, 4)},
          {"label": TensorProto.INT64, "scores": TensorProto.FLOAT}, ml=1)


# ---- features ------------------------------------------------------------------------------------------------

def features():
    rng = np.random.default_rng(300)
    x = rows(rng, 5, 3)
    F, I, S = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING

    def one(name, op, inputs, out, **attributes):
        ml = attributes.pop("ml", 1)
        model(name, [ml_node(op, list(inputs), ["y"], **attributes)], inputs, {"y": out}, ml=ml)

    one("scaler", "Scaler", {"x": x}, F, offset=[0.5, -1.0, 2.0], scale=[2.0, 0.25, -1.0])
    one("scaler_int64", "Scaler", {"x": rows(rng, 5, 3, "int64")}, F, offset=[0.5], scale=[3.0])
    for norm in ("MAX", "L1", "L2"):
        one(f"normalizer_{norm.lower()}", "Normalizer", {"x": np.abs(x) if norm == "MAX" else x}, F, norm=norm)
    one("binarizer", "Binarizer", {"x": x}, F, threshold=0.25)
    holes = x.copy()
    holes[rng.random(x.shape) < 0.4] = np.nan
    one("imputer_nan", "Imputer", {"x": holes}, F, imputed_value_floats=[1.0, 2.0, 3.0],
        replaced_value_float=float("nan"))
    one("imputer_value", "Imputer", {"x": np.round(x)}, F, imputed_value_floats=[7.5], replaced_value_float=1.0)
    one("imputer_int64", "Imputer", {"x": rows(rng, 6, 3, "int64")}, I, imputed_value_int64s=[70, 80, 90],
        replaced_value_int64=2)
    words = np.array([["red", "green"], ["blue", "grün"], ["", "red"]], dtype=object)
    numbers = np.array([[3, 8], [5, -1], [3, 77]], dtype=np.int64)
    one("one_hot_strings", "OneHotEncoder", {"x": words}, F, cats_strings=["red", "blue", "grün"], zeros=1)
    one("one_hot_int64", "OneHotEncoder", {"x": numbers}, F, cats_int64s=[8, 3, -1], zeros=1)
    one("one_hot_float", "OneHotEncoder", {"x": numbers.astype(np.float32)}, F, cats_int64s=[8, 3, -1], zeros=1)
    one("category_mapper_from_strings", "CategoryMapper", {"x": words}, I, cats_strings=["red", "blue", "grün"],
        cats_int64s=[10, 20, 30], default_int64=-7)
    one("category_mapper_to_strings", "CategoryMapper", {"x": numbers}, S, cats_strings=["three", "eight"],
        cats_int64s=[3, 8], default_string="other")
    one("label_encoder_1", "LabelEncoder", {"x": words}, I, classes_strings=["red", "blue", "grün"], default_int64=99)
    one("label_encoder_1_back", "LabelEncoder", {"x": np.abs(numbers) % 4}, S, classes_strings=["red", "blue", "grün"],
        default_string="?")
    one("label_encoder_strings_ints", "LabelEncoder", {"x": words}, I, ml=2, keys_strings=["red", "", "blue"],
        values_int64s=[4, 5, 6])
    one("label_encoder_ints_strings", "LabelEncoder", {"x": numbers}, S, ml=2, keys_int64s=[3, 77],
        values_strings=["three", "many"])
    one("label_encoder_ints_floats", "LabelEncoder", {"x": numbers}, F, ml=2, keys_int64s=[3, 77],
        values_floats=[0.5, 1.5], default_float=-2.5)
    one("label_encoder_floats_strings", "LabelEncoder", {"x": np.array([[1.5, np.nan, -0.0]], np.float32)}, S, ml=2,
        keys_floats=[float("nan"), 0.0], values_strings=["nan", "zero"], default_string="none")
    one("label_encoder_strings_strings", "LabelEncoder", {"x": words}, S, ml=2, keys_strings=["red"],
        values_strings=["rouge"], default_string="autre")
    one("feature_vectorizer", "FeatureVectorizer", {"a": x, "b": rows(rng, 5, 2)}, F, inputdimensions=[3, 2])
    one("array_feature_extractor", "ArrayFeatureExtractor",
        {"x": x, "at": np.array([[2, 0, 0, 1]], np.int64)}, F)
    one("array_feature_extractor_strings", "ArrayFeatureExtractor", {"x": words, "at": np.array([1], np.int64)}, S)


# ---- graphs ---------------------------------------------------------------------------------------------------

def graphs():
    F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    node, info = helper.make_node, helper.make_tensor_value_info
    rng = np.random.default_rng(400)

    body = helper.make_graph(
        [node("Add", ["state", "row"], ["next"]), node("Mul", ["next", "factor"], ["scaled"]),
         node("Identity", ["keep"], ["keep_out"]), node("Identity", ["scaled"], ["stacked"])],
        "body", [info("i", I, []), info("keep", B, []), info("state", F, [3])],
        [info("keep_out", B, []), info("scaled", F, [3]), info("stacked", F, [3])])
    model("loop_captures", [node("Loop", ["count", "", "start"], ["final", "history"], body=body)],
          {"count": np.array(5, np.int64), "start": rng.normal(size=3).astype(np.float32),
           "row": rng.normal(size=3).astype(np.float32)}, {"final": F, "history": F},
          {"factor": np.array([0.5, -1.0, 1.25], np.float32)}, opset=16)

    search = helper.make_graph(
        [node("Mul", ["state", "two"], ["next"]), node("Less", ["next", "limit"], ["again"])],
        "search", [info("i", I, []), info("keep", B, []), info("state", F, [])],
        [info("again", B, []), info("next", F, [])])
    model("loop_until", [node("Loop", ["", "yes", "start"], ["final"], body=search)],
          {"start": np.array(0.7, np.float32), "limit": np.array(1000, np.float32)}, {"final": F},
          {"two": np.array(2, np.float32), "yes": np.array(True)}, opset=13)

    cell = helper.make_graph(
        [node("MatMul", ["h", "w"], ["hw"]), node("Add", ["hw", "x_t"], ["sum"]), node("Tanh", ["sum"], ["h_next"]),
         node("Identity", ["h_next"], ["y_t"])], "cell", [info("h", F, [4]), info("x_t", F, [4])],
        [info("h_next", F, [4]), info("y_t", F, [4])])
    for direction in (0, 1):
        model(f"scan_rnn{'_back' if direction else ''}",
              [node("Scan", ["h0", "x"], ["h", "y"], body=cell, num_scan_inputs=1, scan_input_axes=[1],
                    scan_output_axes=[1], scan_input_directions=[direction], scan_output_directions=[direction])],
              {"h0": rng.normal(size=4).astype(np.float32), "x": rng.normal(size=(4, 6)).astype(np.float32)},
              {"h": F, "y": F}, {"w": rng.normal(size=(4, 4)).astype(np.float32)}, opset=16)

    inner = [helper.make_graph([node(op, ["x"], [f"r_{op}"])], op, [], [info(f"r_{op}", F, None)])
             for op in ("Relu", "Neg", "Abs")]
    outer_else = helper.make_graph([node("If", ["second"], ["r_e"], then_branch=inner[1], else_branch=inner[2])],
                                   "else", [], [info("r_e", F, None)])
    for first, second in ((True, True), (False, True), (False, False)):
        model(f"if_nested_{int(first)}{int(second)}",
              [node("If", ["first"], ["r"], then_branch=inner[0], else_branch=outer_else),
               node("Add", ["r", "x"], ["y"])],
              {"first": np.array(first), "second": np.array(second), "x": rng.normal(size=(2, 3)).astype(np.float32)},
              {"y": F}, opset=16)

    dense = helper.make_function("local", "Dense", ["x", "w", "b"], ["y"],
                                 [node("MatMul", ["x", "w"], ["xw"]), node("Add", ["xw", "b"], ["s"]),
                                  node("Relu", ["s"], ["y"])], [helper.make_opsetid("", 16)])
    w = {f"{k}{i}": rng.normal(size=s).astype(np.float32) for i in (1, 2) for k, s in (("w", (4, 4)), ("b", (4,)))}
    model("local_function", [node("Dense", ["x", "w1", "b1"], ["h"], domain="local"),
                             node("Dense", ["h", "w2", "b2"], ["y"], domain="local")],
          {"x": rng.normal(size=(3, 4)).astype(np.float32)}, {"y": F}, w, opset=16, functions=[dense], custom="local")

    users, items = 50, 70
    tables = {"users": rng.normal(size=(users, 8)).astype(np.float32),
              "items": rng.normal(size=(items, 8)).astype(np.float32),
              "w": rng.normal(size=(18, 1)).astype(np.float32), "b": np.array([0.1], np.float32)}
    model("recommender", [node("Gather", ["users", "user"], ["u"]), node("Gather", ["items", "item"], ["v"]),
                          node("Mul", ["u", "v"], ["uv"]), node("ReduceSum", ["uv", "axes"], ["dot"], keepdims=1),
                          node("Concat", ["u", "v", "price"], ["all"], axis=1),
                          node("Gemm", ["all", "w", "b"], ["wide"]), node("Add", ["dot", "wide"], ["logit"]),
                          node("Sigmoid", ["logit"], ["score"])],
          {"user": rng.integers(users, size=9), "item": rng.integers(items, size=9),
           "price": rng.normal(size=(9, 2)).astype(np.float32)}, {"score": F},
          {**tables, "axes": np.array([1], np.int64)}, opset=13)

    q = {"w_q": rng.integers(-127, 127, size=(6, 4)).astype(np.int8), "w_s": np.array(0.02, np.float32),
         "w_z": np.array(0, np.int8), "b": rng.normal(size=4).astype(np.float32),
         "y_s": np.array(0.05, np.float32), "y_z": np.array(128, np.uint8)}
    model("quantised_dense", [node("DynamicQuantizeLinear", ["x"], ["x_q", "x_s", "x_z"]),
                              node("MatMulInteger", ["x_q", "w_q", "x_z", "w_z"], ["acc"]),
                              node("Cast", ["acc"], ["acc_f"], to=F), node("Mul", ["x_s", "w_s"], ["s"]),
                              node("Mul", ["acc_f", "s"], ["scaled"]), node("Add", ["scaled", "b"], ["y0"]),
                              node("QuantizeLinear", ["y0", "y_s", "y_z"], ["y_q"]),
                              node("DequantizeLinear", ["y_q", "y_s", "y_z"], ["y"])],
          {"x": rng.normal(size=(5, 6)).astype(np.float32)}, {"y": F}, q, opset=13)

    model("strings_to_scores", [ml_node("LabelEncoder", ["city"], ["id"], keys_strings=["Bern", "Oslo", "Rome"],
                                        values_int64s=[0, 1, 2], default_int64=3),
                                node("Gather", ["table", "id"], ["row"]), node("Softmax", ["row"], ["p"], axis=-1)],
          {"city": np.array(["Oslo", "Paris", "Bern"], dtype=object)}, {"p": F},
          {"table": rng.normal(size=(4, 3)).astype(np.float32)}, ml=2)


# ---- float16 -------------------------------------------------------------------------------------------------

def half():
    H = TensorProto.FLOAT16
    rng = np.random.default_rng(500)
    node = helper.make_node

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float16)

    model("float16_dense", [node("Gemm", ["x", "w1", "b1"], ["a"]), node("Relu", ["a"], ["h"]),
                            node("MatMul", ["h", "w2"], ["c"]), node("Add", ["c", "b2"], ["d"]),
                            node("Sigmoid", ["d"], ["y"])],
          {"x": draw(7, 5)}, {"y": H}, {"w1": draw(5, 6), "b1": draw(6), "w2": draw(6, 3), "b2": draw(3)}, opset=13)
    model("float16_table", [node("Gather", ["table", "id"], ["e"]), node("ReduceSum", ["e", "axes"], ["s"], keepdims=0),
                            node("Mul", ["s", "price"], ["p"]), node("Cast", ["p"], ["y"], to=TensorProto.FLOAT)],
          {"id": rng.integers(20, size=(4, 3)), "price": draw(4, 2)}, {"y": TensorProto.FLOAT},
          {"table": draw(20, 2), "axes": np.array([1], np.int64)}, opset=13)


# ---- attention (opset 23) -------------------------------------------------------------------------------------

def attention():
    F = TensorProto.FLOAT
    rng = np.random.default_rng(500)

    def r(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def one(name, inputs, outputs, op="Attention", **attributes):
        names = ["q", "k", "v", "mask", "past_k", "past_v"] if op == "Attention" else ["x", "cos", "sin", "ids"]
        used = [n if n in inputs else "" for n in names]
        while used and not used[-1]:
            used.pop()
        model(name, [helper.make_node(op, used, outputs, **attributes)], inputs, {o: F for o in outputs}, opset=23)

    one("attention", {"q": r(2, 3, 4, 8), "k": r(2, 3, 6, 8), "v": r(2, 3, 6, 5)}, ["y"])
    one("attention_causal_3d", {"q": r(2, 4, 24), "k": r(2, 4, 24), "v": r(2, 4, 24)}, ["y"], q_num_heads=3,
        kv_num_heads=3, is_causal=1)
    one("attention_grouped_mask", {"q": r(2, 4, 3, 8), "k": r(2, 2, 5, 8), "v": r(2, 2, 5, 8), "mask": r(3, 5)}, ["y"],
        scale=0.3, softcap=2.0)
    one("attention_bool_mask", {"q": r(1, 2, 3, 4), "k": r(1, 2, 5, 4), "v": r(1, 2, 5, 4),
                                "mask": np.tril(np.ones((3, 5), bool), 1)}, ["y"])
    one("attention_past", {"q": r(2, 2, 3, 4), "k": r(2, 2, 3, 4), "v": r(2, 2, 3, 4), "past_k": r(2, 2, 5, 4),
                           "past_v": r(2, 2, 5, 4)}, ["y", "pk", "pv"], is_causal=1)
    for inter in (0, 1):
        ids = rng.integers(0, 9, size=(2, 3)).astype(np.int64)
        one(f"rotary_{inter}", {"x": r(2, 4, 3, 8), "cos": r(9, 4), "sin": r(9, 4), "ids": ids}, ["y"],
            "RotaryEmbedding", interleaved=inter)
    one("rotary_3d_partial", {"x": r(2, 3, 24), "cos": r(2, 3, 2), "sin": r(2, 3, 2)}, ["y"], "RotaryEmbedding",
        num_heads=3, rotary_embedding_dim=4)


# ---- hostile models: each must be refused with a clear word (test_hostile.c) -----------------------------------

def hostile():
    F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    node, info = helper.make_node, helper.make_tensor_value_info

    def save(name, nodes, outputs, inits=(), x_dims=(2, 3), opset=16):
        graph = helper.make_graph(nodes, name, [info("x", F, x_dims)], [info(n, t, None) for n, t in outputs.items()],
                                  [numpy_helper.from_array(a, n) for n, a in dict(inits).items()])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset),
                                                       helper.make_opsetid("ai.onnx.ml", 3)])
        made.ir_version = 8
        folder = HERE / "hostile"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString())

    forever = helper.make_graph([node("Identity", ["keep"], ["again"]), node("Identity", ["s"], ["t"])], "body",
                                [info("i", I, []), info("keep", B, []), info("s", F, [2, 3])],
                                [info("again", B, []), info("t", F, [2, 3])])
    save("loop_forever", [node("Loop", ["", "yes", "x"], ["y"], body=forever, name="spin")], {"y": F},
         {"yes": np.array(True)})
    hoard = helper.make_graph([node("Identity", ["keep"], ["again"]), node("Concat", ["s", "s"], ["t"], axis=0)],
                              "body", [info("i", I, []), info("keep", B, []), info("s", F, None)],
                              [info("again", B, []), info("t", F, None)])
    save("loop_doubling", [node("Loop", ["", "yes", "x"], ["y"], body=hoard, name="grow")], {"y": F},
         {"yes": np.array(True)})
    stack = helper.make_graph([node("Identity", ["keep"], ["again"]), node("Identity", ["x"], ["row"])],
                              "body", [info("i", I, []), info("keep", B, [])],
                              [info("again", B, []), info("row", F, [2, 3])])
    save("loop_stacking", [node("Loop", ["count", ""], ["y"], body=stack, name="pile")], {"y": F},
         {"count": np.array(2**62)})
    save("scan_without_steps", [node("Scan", ["x"], ["y"], body=helper.make_graph(
        [node("Identity", ["r"], ["o"])], "b", [info("r", F, [3])], [info("o", F, [3])]), num_scan_inputs=2)], {"y": F})
    save("if_of_three_bodies", [node("If", ["c"], ["y"], then_branch=helper.make_graph(
        [node("Relu", ["x"], ["r"])], "t", [], [info("r", F, None)]))], {"y": F}, {"c": np.array(True)})
    save("sequence_position", [node("SequenceConstruct", ["x"], ["s"]), node("SequenceAt", ["s", "p"], ["y"],
                                                                             name="pick")], {"y": F},
         {"p": np.array(7)})

    def tree(name, **changes):
        good = dict(nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
                    nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values=[0.5, 0.0, 0.0],
                    nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], target_treeids=[0, 0],
                    target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1.0, 2.0], n_targets=1)
        good.update(changes)
        save(name, [ml_node("TreeEnsembleRegressor", ["x"], ["y"], name="forest", **good)], {"y": F})

    tree("tree_cycle", nodes_modes=["BRANCH_LEQ"] * 3, nodes_truenodeids=[1, 2, 0], nodes_falsenodeids=[2, 0, 1])
    tree("tree_shared_child", nodes_falsenodeids=[1, 0, 0])
    tree("tree_missing_child", nodes_truenodeids=[9, 0, 0])
    tree("tree_wide_feature", nodes_featureids=[2**40, 0, 0])
    tree("tree_feature_outside", nodes_featureids=[3, 0, 0])
    tree("tree_weight_nowhere", target_nodeids=[1, 8])
    tree("tree_weight_id", target_ids=[0, 5])
    tree("tree_short_list", nodes_values=[0.5])
    tree("tree_mode", nodes_modes=["BRANCH_LEQ", "LEAF", "TWIG"])
    tree("tree_many_targets", n_targets=2**40)
    tree("tree_node_id", nodes_nodeids=[0, 1, -2])
    save("svm_counts", [ml_node("SVMClassifier", ["x"], ["y", "z"], name="svm", kernel_type="RBF",
         kernel_params=[0.1, 0.0, 0.0], support_vectors=[0.0] * 6, coefficients=[1.0], rho=[0.0],
         vectors_per_class=[2**31, 2**31], classlabels_ints=[0, 1])], {"y": I, "z": F})
    save("linear_short", [ml_node("LinearClassifier", ["x"], ["y", "z"], name="lin", coefficients=[1.0, 2.0],
         intercepts=[0.0, 0.0, 0.0], classlabels_ints=[0, 1, 2])], {"y": I, "z": F})
    save("scaler_width", [ml_node("Scaler", ["x"], ["y"], name="scale", offset=[0.0] * 5, scale=[1.0])], {"y": F})
    save("label_encoder_lengths", [ml_node("LabelEncoder", ["x"], ["y"], name="labels", keys_floats=[1.0, 2.0],
                                           values_int64s=[1])], {"y": I})
    save("feature_vectorizer_width", [ml_node("FeatureVectorizer", ["x", "x"], ["y"], name="vec",
                                              inputdimensions=[2**50, 3])], {"y": F})


# ---- maps: inputs that the official layout has no files for (test_maps.c) --------------------------------------

def maps():
    def save(name, key, value, node, out):
        kind = onnx.TypeProto()
        kind.map_type.key_type = key
        kind.map_type.value_type.tensor_type.elem_type = value
        graph = helper.make_graph([node], name, [helper.make_value_info("x", kind)],
                                  [helper.make_tensor_value_info("y", out, None)])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)])
        made.ir_version = 8
        folder = HERE / "maps"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString())

    F, I, S = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
    save("dict_vectorizer", S, F, ml_node("DictVectorizer", ["x"], ["y"], string_vocabulary=["a", "b", "c"]), F)
    save("cast_map_dense", I, F, ml_node("CastMap", ["x"], ["y"], cast_to="TO_INT64"), I)
    save("cast_map_sparse", I, S, ml_node("CastMap", ["x"], ["y"], cast_to="TO_FLOAT", map_form="SPARSE", max_map=6), F)


# ---- writing ---------------------------------------------------------------------------------------------------

def json_tensor(a):
    if a.dtype.kind in "OU":
        return {"type": "string", "dims": list(a.shape), "data": [str(s) for s in a.ravel()]}
    data = a.view(np.uint16) if a.dtype == np.float16 else a
    text = [("NaN" if v != v else repr(v)) if data.dtype.kind == "f" else str(int(v)) for v in data.ravel().tolist()]
    return {"type": TYPES[a.dtype], "dims": list(a.shape), "data": text}


def from_json(t):
    if t["type"] == "string":
        return np.array(t["data"], dtype=object).reshape(t["dims"])
    special = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
    if t["type"] in ("float32", "float64"):
        return np.array([float(special.get(v, v)) for v in t["data"]], t["type"]).reshape(t["dims"])
    if t["type"] == "bool":
        return np.array([v in ("true", "1") for v in t["data"]]).reshape(t["dims"])
    if t["type"] == "float16":  # numbers or bits, as the binding's version has it
        bits = all(float(v) == int(float(v)) and float(v) >= 0 for v in t["data"])
        raw = np.array([int(v) for v in t["data"]], np.uint16).view(np.float16) if bits \
            else np.array([float(v) for v in t["data"]], np.float16)
        return raw.reshape(t["dims"])
    return np.array([int(v) for v in t["data"]], t["type"]).reshape(t["dims"])


def write_tensor(path, array, name):
    if array.dtype.kind in "OU":
        proto = helper.make_tensor(name, TensorProto.STRING, array.shape, [s.encode() for s in array.ravel()])
    else:
        proto = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
    path.write_bytes(proto.SerializeToString())


def main():
    trees()
    linear()
    svm()
    features()
    graphs()
    attention()
    half()
    hostile()
    maps()
    names = [n for n in MODELS if not sys.argv[1:] or n in sys.argv[1:]]
    jobs = []
    for name in names:
        proto, inputs = MODELS[name]
        data = HERE / name / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        (HERE / name / "model.onnx").write_bytes(proto.SerializeToString())
        for i, (n, a) in enumerate(inputs.items()):
            write_tensor(data / f"input_{i}.pb", a, n)
        jobs.append({"model": str(HERE / name / "model.onnx"), "inputs": {n: json_tensor(a) for n, a in inputs.items()}})
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = pathlib.Path(folder) / "jobs.json", pathlib.Path(folder) / "answers.json"
        asked.write_text(json.dumps(jobs))
        subprocess.run(["node", str(HERE / "reference.js"), str(asked), str(answered)], check=True,
                       env=dict(os.environ, ORT_DISABLE_TELEMETRY="1"))
        answers = json.loads(answered.read_text())
    for name, answer in zip(names, answers):
        if "error" in answer:
            print(f"{name}: {answer['error']}")
            continue
        for i, out in enumerate(MODELS[name][0].graph.output):
            write_tensor(HERE / name / "test_data_set_0" / f"output_{i}.pb", from_json(answer["outputs"][out.name]),
                         out.name)


if __name__ == "__main__":
    main()
