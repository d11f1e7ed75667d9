// Checks rendered manifests: each object against the schema of its kind, and what no schema knows: that names, ports
// and selectors meet, that every option exists, that every probe and metric is there in a running server, and that a
// pod has time to drain. KServe's kinds are checked by the fields that its reference requires and knows.
//
// usage: node check.js ONNXD MODEL ADAPTER.yaml RENDERED.yaml...     (modules: NODE_PATH)
"use strict";
const { spawn, execFileSync } = require("child_process");
const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const yaml = require("yaml");

const [onnxd, model, adapterPath, ...rendered] = process.argv.slice(2);
const faults = [];
const fault = (where, what) => faults.push(`${where}: ${what}`);

// ---- schemas --------------------------------------------------------------------------------------------

const kserve = {
  "serving.kserve.io/v1alpha1/ServingRuntime": async (spec, bad) => {
    known(spec, ["annotations", "labels", "supportedModelFormats", "protocolVersions", "containers", "volumes", "multiModel",
      "nodeSelector", "affinity", "tolerations", "imagePullSecrets", "disabled", "replicas"], bad);
    for (const f of spec.supportedModelFormats || bad("supportedModelFormats is missing") || [])
      known(f, ["name", "version", "autoSelect", "priority"], bad), f.name || bad("a format without a name");
    for (const v of spec.protocolVersions || []) if (!["v1", "v2", "grpc-v1", "grpc-v2"].includes(v)) bad(`protocol ${v}`);
    const containers = spec.containers || [];
    if (!containers.some((c) => c.name === "kserve-container")) bad("no container named kserve-container");
    const { Container } = await models("v1");
    for (const c of containers) validate(new Container(c), bad);
  },
  "serving.kserve.io/v1beta1/InferenceService": (spec, bad) => {
    known(spec, ["predictor", "transformer", "explainer"], bad);
    const m = (spec.predictor || {}).model || bad("predictor.model is missing") || {};
    known(m, ["modelFormat", "protocolVersion", "runtime", "storageUri", "storage", "args", "env", "resources"], bad);
    if (!(m.modelFormat || {}).name) bad("modelFormat.name is missing");
    if (!/^(pvc|s3|gs|https?|hdfs|webhdfs):\/\/./.test(m.storageUri || "")) bad(`storageUri ${m.storageUri}`);
  },
};

function known(object, fields, bad) {
  for (const key of Object.keys(object)) if (!fields.includes(key)) bad(`unknown field ${key}`);
}

function validate(object, bad) {
  try {
    object.validate();
  } catch (e) {
    bad(e.message);
  }
}

// The modules of a group and version; they are of the kind that only import() takes, and only by their place.
const models = (apiVersion) =>
  import(pathToFileURL(path.join(process.env.NODE_PATH, "kubernetes-models", apiVersion, "index.js")));

async function checkSchema(object, where) {
  const bad = (what) => void fault(where, what);
  const { apiVersion, kind } = object;
  const own = kserve[`${apiVersion}/${kind}`];
  if (own) return own(object.spec || {}, bad);
  try {
    const module = await models(apiVersion);
    if (!module[kind]) return bad(`${apiVersion} has no kind ${kind}`);
    validate(new module[kind](object), bad);
  } catch (e) {
    bad(`${apiVersion}: ${e.message.split("\n")[0]}`);
  }
}

// ---- what belongs together ------------------------------------------------------------------------------

const covers = (selector, labels) =>
  Object.keys(selector || {}).length > 0 && Object.entries(selector).every(([k, v]) => (labels || {})[k] === v);

function checkPod(spec, labels, objects, where) {
  const find = (kind, name) => objects.find((o) => o.kind === kind && o.metadata.name === name);
  const [container] = spec.containers;
  const options = {};
  for (const from of container.envFrom || []) {
    const map = find("ConfigMap", from.configMapRef.name);
    if (map) Object.assign(options, map.data);
    else fault(where, `no ConfigMap ${from.configMapRef.name}`);
  }
  for (const volume of spec.volumes || [])
    if (volume.persistentVolumeClaim && !find("PersistentVolumeClaim", volume.persistentVolumeClaim.claimName))
      fault(where, `no PersistentVolumeClaim ${volume.persistentVolumeClaim.claimName}`);
  for (const mount of container.volumeMounts || [])
    if (!(spec.volumes || []).some((v) => v.name === mount.name)) fault(where, `no volume ${mount.name}`);
  const port = container.ports.find((p) => p.name === "http");
  if (String(port.containerPort) !== options.ONNXD_PORT) fault(where, "the port is not the one of ONNXD_PORT");
  const probes = ["startupProbe", "readinessProbe", "livenessProbe"].map((name) => container[name].httpGet);
  for (const probe of probes) if (probe.port !== "http") fault(where, `no port ${probe.port}`);
  const wait = container.lifecycle.preStop.sleep.seconds + Number(options.ONNXD_DRAIN_TIMEOUT_MS) / 1000;
  if (!(spec.terminationGracePeriodSeconds > wait)) fault(where, `a pod needs more than ${wait} s to drain`);
  const s = { ...spec.securityContext, ...container.securityContext };
  if (!s.runAsNonRoot || !s.readOnlyRootFilesystem || s.allowPrivilegeEscalation !== false || s.capabilities.drop[0] !== "ALL")
    fault(where, "it may do more than it needs");
  return { options, paths: probes.map((p) => p.path) };
}

function checkTogether(objects, file) {
  const deployment = objects.find((o) => o.kind === "Deployment");
  if (!deployment) return null;
  const { template, selector, replicas } = deployment.spec;
  const labels = template.metadata.labels;
  if (!covers(selector.matchLabels, labels)) fault(file, "the deployment does not select its pods");
  for (const o of objects) {
    const where = `${file}: ${o.kind} ${o.metadata.name}`;
    if (o.kind === "Service") {
      if (!covers(o.spec.selector, labels)) fault(where, "selects no pod");
      for (const p of o.spec.ports)
        if (!template.spec.containers[0].ports.some((q) => q.name === p.targetPort)) fault(where, `no port ${p.targetPort}`);
    } else if (o.kind === "PodDisruptionBudget" && !covers((o.spec.selector || {}).matchLabels, labels)) {
      fault(where, "selects no pod");
    } else if (o.kind === "HorizontalPodAutoscaler") {
      if (o.spec.scaleTargetRef.name !== deployment.metadata.name) fault(where, "scales nothing");
      if (replicas != null) fault(where, "the deployment sets replicas beside the autoscaler");
      const names = adapter.rules.custom.map((r) => r.name.as);
      for (const m of o.spec.metrics) if (!names.includes(m.pods.metric.name)) fault(where, `no rule makes ${m.pods.metric.name}`);
    }
  }
  return checkPod(template.spec, labels, objects, `${file}: pod`);
}

// ---- a running server -----------------------------------------------------------------------------------

async function checkServer({ options, paths }, file) {
  const env = { PATH: process.env.PATH, ...options, ONNXD_HOST: "127.0.0.1", ONNXD_PORT: "0", ONNXD_MODEL: `deepfm=${model}` };
  if (options.ONNXD_REPOSITORY) env.ONNXD_REPOSITORY = fs.mkdtempSync("/tmp/onnxd-repository-");
  const server = spawn(onnxd, ["serve"], { env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((done) => server.on("exit", done));
  try {
    const url = await new Promise((found, lost) => {
      let said = "";
      server.stderr.on("data", (bytes) => {
        said += bytes;
        const line = said.match(/^listening on (\S+)$/m);
        if (line) found(line[1]);
      });
      ended.then(() => lost(new Error(`the server ended: ${said}`)));
    });
    for (const probe of paths) {
      const answer = await fetch(url + probe);
      if (answer.status !== 200) fault(file, `the probe ${probe} is answered ${answer.status}`);
    }
    const metrics = await (await fetch(`${url}/metrics`)).text();
    for (const rule of adapter.rules.custom) {
      const series = rule.seriesQuery.split("{")[0];
      if (!metrics.includes(`\n# TYPE ${series.replace(/_(count|bucket|sum)$/, "")}`) && !metrics.includes(`\n# TYPE ${series} `))
        fault(adapterPath, `the server has no ${series}`);
    }
  } catch (e) {
    fault(file, e.message);
  } finally {
    server.kill("SIGTERM");
    await ended;
    if (options.ONNXD_REPOSITORY) fs.rmdirSync(env.ONNXD_REPOSITORY);
  }
}

function checkOptions(options, help, file) {
  for (const name of Object.keys(options)) {
    const option = "--" + name.replace(/^ONNXD_/, "").toLowerCase().replaceAll("_", "-");
    if (!name.startsWith("ONNXD_") || !help.includes(`${option} `)) fault(file, `${name}: onnxd serve has no ${option}`);
  }
}

const adapter = yaml.parse(fs.readFileSync(adapterPath, "utf8"));

async function main() {
  const help = execFileSync(onnxd, ["serve", "--help"], { encoding: "utf8" });
  let n = 0;
  for (const file of rendered) {
    const objects = yaml.parseAllDocuments(fs.readFileSync(file, "utf8")).map((d) => d.toJS()).filter(Boolean);
    for (const object of objects) await checkSchema(object, `${file}: ${object.kind} ${object.metadata.name}`), n++;
    const pod = checkTogether(objects, file);
    if (pod) checkOptions(pod.options, help, file);
    if (pod && faults.length === 0) await checkServer(pod, file);
    const runtime = objects.find((o) => o.kind === "ServingRuntime");
    for (const arg of runtime ? runtime.spec.containers[0].args.slice(1) : [])
      if (!help.includes(`${arg.split("=")[0]} `)) fault(file, `onnxd serve has no ${arg}`);
  }
  for (const f of faults) console.error(f);
  console.log(`${n} objects, ${faults.length} faults`);
  process.exit(faults.length === 0 && n > 0 ? 0 : 1);
}

main();
