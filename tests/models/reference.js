// Answers of ONNX Runtime: node reference.js JOBS.json ANSWERS.json, with onnxruntime-node in NODE_PATH.
// JOBS: [{model, inputs: {name: {type, dims, data}}}]; ANSWERS: the same for outputs, or {error}.
const fs = require('fs');
const ort = require('onnxruntime-node');

const read = { int64: BigInt, uint64: BigInt };
const arrays = { float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array,
                 uint64: BigUint64Array, uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array,
                 int16: Int16Array, uint32: Uint32Array, bool: Uint8Array, float16: Uint16Array };
const special = { NaN: NaN, inf: Infinity, '-inf': -Infinity };

function tensor({ type, dims, data }) {
  if (type === 'string') return new ort.Tensor('string', data, dims);
  const convert = read[type] || ((x) => (x in special ? special[x] : Number(x)));
  return new ort.Tensor(type, arrays[type].from(data, convert), dims);
}

async function run(job) {
  const session = await ort.InferenceSession.create(job.model, { graphOptimizationLevel: 'disabled',
                                                                intraOpNumThreads: 1 });
  const feeds = {};
  for (const [name, value] of Object.entries(job.inputs)) feeds[name] = tensor(value);
  const results = await session.run(feeds);
  const outputs = {};
  for (const [name, value] of Object.entries(results))
    outputs[name] = { type: value.type, dims: value.dims, data: Array.from(value.data, String) };
  return { outputs };
}

(async () => {
  const answers = [];
  for (const job of JSON.parse(fs.readFileSync(process.argv[2])))
    answers.push(await run(job).catch((e) => ({ error: String(e) })));
  fs.writeFileSync(process.argv[3], JSON.stringify(answers));
})();
