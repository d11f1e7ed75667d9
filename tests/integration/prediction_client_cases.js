// usage: node prediction_client_cases.js FOLDER URL CASE    FOLDER holds node_modules with googleapis
"use strict";
const assert = require("node:assert/strict");
const path = require("node:path");

const [folder, url, name] = process.argv.slice(2);
const { ml } = require(path.join(folder, "node_modules/googleapis/build/src/apis/ml"));
const { projects } = ml({ version: "v1", rootUrl: `${url}/` });
const model = "models/deepfm";
const row = [4, 15, 1, 1, 1, 3321, 282, 2, 77, 13, 0.728, 0.09, 0.5, 0.25, 0.125];
const other = [6, 23, 3, 3, 0, 17, 9, 1, 3, 5, 0.1, 0.9, 0.2, 0.4, 0.6];

// What onnxd answers to a caller of its own route, without the client.
async function scored(features) {
  const answer = await fetch(`${url}/predict`, { method: "POST", body: JSON.stringify({ features }) });
  assert.equal(answer.status, 200);
  return (await answer.json()).ctr;
}

const predict = (to, instances) => projects.predict({ name: to, requestBody: { instances } });

function close(actual, expected) {
  assert.ok(Math.abs(actual - expected) <= 1e-6 * Math.abs(expected), `${actual} in place of ${expected}`);
}

const cases = {
  async rows_are_scored() {
    const answer = await predict(model, [row, other, row]);
    assert.equal(answer.status, 200);
    const { predictions } = answer.data;
    assert.equal(predictions.length, 3);
    close(predictions[0][0], await scored(row));
    close(predictions[1][0], await scored(other));
    close(predictions[2][0], predictions[0][0]);
    assert.notEqual(predictions[0][0], predictions[1][0]);
  },
  async a_version_is_named() {
    close((await predict(`${model}/versions/1`, [row])).data.predictions[0][0], await scored(row));
    await assert.rejects(predict(`${model}/versions/7`, [row]), { status: 404 });
  },
  async faults_reach_the_caller() {
    await assert.rejects(predict(model, [[1, 2]]), { status: 400, message: /instances\[0\]: expected 15 numbers, got 2/ });
    await assert.rejects(predict(model, [row, "text"]), { status: 400, message: /instances\[1\]/ });
    await assert.rejects(predict("models/absent", [row]), { status: 404, message: /absent/ });
  },
  async status_is_told() {
    const { data } = await projects.models.get({ name: model });
    assert.equal(data.model_version_status[0].state, "AVAILABLE");
    assert.equal(data.model_version_status[0].version, "1");
  },
  async many_at_once() {
    const expected = [await scored(row), await scored(other)];
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, i) => predict(model, i % 2 === 0 ? [row, other] : [other, row])));
    answers.forEach(({ data }, i) => {
      close(data.predictions[0][0], expected[i % 2]);
      close(data.predictions[1][0], expected[(i + 1) % 2]);
    });
  },
};

cases[name]().catch((error) => {
  console.log(error.message);
  process.exitCode = 1;
});
