'use strict';
// The page reads what any client can read: /metrics once a second, the repository's index, the models' metadata.
const KEEP = 121, WINDOW_MS = 5000, TICK_MS = 1000;
const at = id => document.getElementById(id);
const samples = []; // {time, metrics, cpu} oldest first
const points = []; // {time, rate, p50, p99}: one for each tick
let key = sessionStorage.getItem('onnxd-key') || '';
let described = null; // metadata of the chosen model

/* ---- asking ---- */
async function ask(path, body) {
  const headers = key ? {'X-API-Key': key} : {};
  const answer = await fetch(path, body === undefined ? {headers, cache: 'no-store'} : {method: 'POST', headers, body});
  if (answer.status === 401) at('key').hidden = false;
  const text = await answer.text();
  if (answer.ok) return text;
  let message = text;
  try { message = JSON.parse(text).error || text; } catch { /* not JSON: shown as it is */ }
  throw Object.assign(new Error(message || 'status ' + answer.status), {status: answer.status});
}

/* Prometheus text -> Map of name -> [{labels, value}] */
function readMetrics(text) {
  const found = new Map();
  for (const line of text.split('\n')) {
    const part = /^([\w:]+)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!part) continue;
    const labels = {};
    for (const [, name, value] of (part[2] || '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      labels[name] = value.replace(/\\(.)/g, (_, c) => c === 'n' ? '\n' : c);
    if (!found.has(part[1])) found.set(part[1], []);
    found.get(part[1]).push({labels, value: Number(part[3])});
  }
  return found;
}

/* ---- arithmetic on samples ---- */
const all = () => true;
const sum = (metrics, name, wanted = all) =>
  (metrics.get(name) || []).reduce((s, m) => wanted(m.labels) ? s + m.value : s, 0);
const grown = (a, b, name, wanted) => Math.max(0, sum(b.metrics, name, wanted) - sum(a.metrics, name, wanted));

/* What a histogram gained from a to b: [[bound, count], ...] by bound, not cumulative. */
function gained(a, b, name, wanted = all) {
  const bounds = new Map();
  for (const [sample, sign] of [[b, 1], [a, -1]])
    for (const m of (sample && sample.metrics.get(name + '_bucket')) || []) {
      if (!wanted(m.labels)) continue;
      const bound = m.labels.le === '+Inf' ? Infinity : Number(m.labels.le);
      bounds.set(bound, (bounds.get(bound) || 0) + sign * m.value);
    }
  let below = 0;
  return [...bounds].sort((x, y) => x[0] - y[0]).map(([bound, n]) => {
    const own = Math.max(0, n - below);
    below = n;
    return [bound, own];
  });
}

function quantile(buckets, q) {
  const total = buckets.reduce((s, b) => s + b[1], 0);
  if (total === 0) return NaN;
  let seen = 0, low = 0;
  for (const [bound, n] of buckets) {
    if (seen + n >= q * total && n > 0) return bound === Infinity ? low : low + (bound - low) * (q * total - seen) / n;
    seen += n;
    low = bound === Infinity ? low : bound;
  }
  return low;
}

/* ---- text ---- */
function number(x) {
  if (!Number.isFinite(x)) return '–';
  if (x === 0) return '0';
  if (x >= 1e6) return (x / 1e6).toPrecision(3) + ' M';
  if (x >= 1e4) return (x / 1e3).toPrecision(3) + ' k';
  return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toPrecision(2);
}
function time(s) {
  if (!Number.isFinite(s)) return ['–', ''];
  if (s < 1e-3) return [number(s * 1e6), 'µs'];
  return s < 1 ? [number(s * 1e3), 'ms'] : [number(s), 's'];
}
const timeText = s => time(s).join(' ').trim();
const whole = x => x < 1e4 ? String(Math.round(x)) : number(x);
const tick = text => text.replace(/\.0+(?= |$)/, '');
const bytes = n => n >= 1 << 30 ? (n / (1 << 30)).toFixed(2) + ' GB' : (n / (1 << 20)).toFixed(1) + ' MB';
function put(id, text, unit) {
  at(id).textContent = text;
  if (unit !== undefined) at(id).nextElementSibling.textContent = unit;
}
function make(tag, attributes, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {}))
    if (value !== undefined) node.setAttribute(name, value);
  node.append(...inside);
  return node;
}

/* ---- charts ---- */
function svg(tag, attributes, text) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
function canvas(id, nothing) {
  const box = at(id);
  box.replaceChildren();
  if (nothing) {
    box.append(make('div', {class: 'empty'}, nothing));
    return null;
  }
  const width = Math.max(240, box.clientWidth), height = Math.max(120, box.clientHeight);
  const root = svg('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img'});
  box.append(root);
  return {root, width, height, left: 52, right: width - 6, top: 8, bottom: height - 20};
}
function ceiling(x) {
  const unit = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 4, 5, 10].find(k => k * unit >= x) * unit;
}
function drawLines(id, series, scale) {
  const area = canvas(id, series.some(s => s.values.some(Number.isFinite)) ? '' : 'no requests in the last two minutes');
  if (!area) return;
  const {root, left, right, top, bottom} = area, span = (KEEP - 1) * TICK_MS;
  const last = points[points.length - 1].time;
  const x = i => right - (last - points[i].time) / span * (right - left);
  const y = v => bottom - scale.place(v) * (bottom - top);
  for (const v of scale.ticks) {
    root.append(svg('line', {x1: left, x2: right, y1: y(v), y2: y(v), class: v === scale.ticks[0] ? 'base' : 'rule'}));
    root.append(svg('text', {x: left - 8, y: y(v) + 4, 'text-anchor': 'end'}, tick(scale.label(v))));
  }
  for (const back of [120, 60, 0]) {
    const place = right - back * 1000 / span * (right - left);
    root.append(svg('text', {x: place, y: bottom + 16, 'text-anchor': back === 120 ? 'start' : back ? 'middle' : 'end'},
      back ? `${back} s ago` : 'now'));
  }
  for (const s of series) {
    let path = '', open = false, first = 0;
    s.values.forEach((v, i) => {
      if (!Number.isFinite(v) || x(i) < left) { open = false; return; }
      if (!open) first = x(i);
      path += `${open ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
      open = true;
    });
    if (s.area && open)
      root.append(svg('path', {class: 'area', d: `${path}L${x(points.length - 1).toFixed(1)} ${bottom}L${first.toFixed(1)} ${bottom}Z`}));
    root.append(svg('path', {class: s.class, d: path}));
  }
}
function drawRate() {
  const values = points.map(p => p.rate), top = ceiling(Math.max(1, ...values.filter(Number.isFinite)));
  drawLines('c-rate', [{values: values.some(v => v > 0) ? values : [], class: 'line1', area: true}],
    {place: v => v / top, ticks: [0, top / 4, top / 2, top * 3 / 4, top], label: number});
}
function drawLatency() {
  const seen = points.flatMap(p => [p.p50, p.p99]).filter(v => v > 0);
  const low = seen.length ? Math.floor(Math.log10(Math.min(...seen))) : -5;
  const high = seen.length ? Math.max(low + 1, Math.ceil(Math.log10(Math.max(...seen)) - 1e-9)) : -2;
  const ticks = [];
  for (let e = low; e <= high; e++) for (const k of high - low < 3 && e < high ? [1, 2, 5] : [1]) ticks.push(k * 10 ** e);
  drawLines('c-latency', [{values: points.map(p => p.p99), class: 'line2'}, {values: points.map(p => p.p50), class: 'line1'}],
    {place: v => (Math.log10(v) - low) / (high - low), ticks, label: timeText});
}
function drawBatches(a, b) {
  let buckets = gained(a, b, 'onnxd_batch_rows'), when = 'last five seconds';
  if (!buckets.some(k => k[1] > 0)) [buckets, when] = [gained(null, b, 'onnxd_batch_rows'), 'since start'];
  const total = buckets.reduce((s, k) => s + k[1], 0);
  const area = canvas('c-batch', total ? '' : 'no run yet');
  at('batch-when').textContent = total ? when : '';
  if (!area) return;
  const {root, right, top, bottom} = area, left = 0;
  const used = buckets.slice(0, 1 + Math.max(5, buckets.findLastIndex(k => k[1] > 0)));
  const wide = (right - left) / used.length, most = Math.max(...used.map(k => k[1]));
  root.append(svg('line', {x1: left, x2: right, y1: bottom, y2: bottom, class: 'base'}));
  used.forEach(([bound, n], i) => {
    const tall = n / most * (bottom - top - 16), middle = left + (i + .5) * wide;
    const from = i ? used[i - 1][0] + 1 : bound;
    const label = bound === Infinity ? `> ${used[i - 1][0]}` : from === bound ? `${bound}` : wide > 52 ? `${from}–${bound}` : `≤${bound}`;
    root.append(svg('rect', {class: 'bar', x: left + i * wide + 2, width: Math.max(1, wide - 4), y: bottom - tall, height: tall, rx: 2}));
    if (n) root.append(svg('text', {x: middle, y: bottom - tall - 5, 'text-anchor': 'middle'}, n / total >= .005 ? `${Math.round(n / total * 100)} %` : '<1 %'));
    root.append(svg('text', {x: middle, y: bottom + 16, 'text-anchor': 'middle'}, label));
  });
}
function drawStages(a, b) {
  const stages = ['parse', 'queue', 'run', 'write'], mean = (from, s) => {
    const n = grown(from, b, `onnxd_${s}_seconds_count`);
    return n ? grown(from, b, `onnxd_${s}_seconds_sum`) / n : NaN;
  };
  let values = stages.map(s => mean(a, s));
  const idle = !values.some(Number.isFinite);
  if (idle) values = stages.map(s => mean({metrics: new Map()}, s));
  at('stage-when').textContent = values.some(Number.isFinite) ? `mean, ${idle ? 'since start' : 'last five seconds'}` : '';
  const most = Math.max(1e-9, ...values.filter(Number.isFinite));
  at('stages').replaceChildren(...stages.map((s, i) => {
    const bar = svg('svg', {viewBox: '0 0 100 10', preserveAspectRatio: 'none'});
    bar.append(svg('rect', {class: 'bar', width: Math.max(0, 100 * (values[i] || 0) / most), height: 10}));
    return make('div', {class: 'stage'}, s, bar, make('b', {}, timeText(values[i])));
  }));
}

/* ---- live figures ---- */
const failures = labels => labels.route !== undefined && Number(labels.status) >= 400 && !['/metrics', '/'].includes(labels.route);
const fact = (name, value) => make('div', {}, make('dt', {}, name), make('dd', {}, value));

function show() {
  const b = samples[samples.length - 1];
  const a = samples.find(s => s.time >= b.time - WINDOW_MS - TICK_MS / 2) || b, seconds = Math.max(.001, (b.time - a.time) / 1000);
  const perSecond = (name, wanted) => a === b ? NaN : grown(a, b, name, wanted) / seconds;
  const requests = perSecond('onnxd_request_seconds_count'), rows = perSecond('nv_inference_count');
  const runs = perSecond('nv_inference_exec_count'), times = gained(a, b, 'onnxd_request_seconds');
  const errors = perSecond('onnxd_http_requests_total', failures);
  put('t-rate', number(requests));
  put('t-total', `${whole(sum(b.metrics, 'nv_inference_request_success'))} since start`);
  put('t-rows', number(rows));
  put('t-mean', runs > 0 ? `${number(rows / runs)} rows a run` : '');
  put('t-p50', ...time(quantile(times, .5)));
  put('t-p90', Number.isFinite(quantile(times, .9)) ? `90 %: ${timeText(quantile(times, .9))}` : '');
  put('t-p99', ...time(quantile(times, .99)));
  put('t-p999', Number.isFinite(quantile(times, .999)) ? `99.9 %: ${timeText(quantile(times, .999))}` : '');
  put('t-errors', number(errors));
  put('t-reasons', `${whole(sum(b.metrics, 'onnxd_http_requests_total', failures))} since start`);
  at('t-errors').className = errors > 0 ? 'wrong' : '';
  put('t-cpu', number(perSecond('process_cpu_seconds_total')));
  put('t-memory', bytes(sum(b.metrics, 'process_resident_memory_bytes')) + ' resident');
  drawRate();
  drawLatency();
  drawBatches(a, b);
  drawStages(a, b);
  at('facts').replaceChildren(
    fact('connections', whole(sum(b.metrics, 'onnxd_connections_open'))),
    fact('waiting', whole(sum(b.metrics, 'nv_inference_pending_request_count'))),
    fact('open files', whole(sum(b.metrics, 'process_open_fds'))),
    fact('refused', whole(sum(b.metrics, 'onnxd_connections_refused_total'))),
    fact('time-outs', whole(sum(b.metrics, 'onnxd_http_timeouts_total'))),
    fact('restarts', whole(sum(b.metrics, 'onnxd_process_restarts_total'))));
  for (const row of at('rows').children) {
    const mine = l => l.model === row.dataset.name && l.version === row.dataset.version;
    const own = gained(a, b, 'onnxd_request_seconds', mine), cells = row.querySelectorAll('.n');
    [number(perSecond('onnxd_request_seconds_count', mine)), number(perSecond('nv_inference_count', mine)),
      timeText(quantile(own, .5)), timeText(quantile(own, .99)), whole(sum(b.metrics, 'nv_inference_request_failure', mine)),
      whole(sum(b.metrics, 'nv_inference_request_success', mine))].forEach((text, i) => { cells[i].textContent = text; });
  }
}

function take(metrics) {
  const now = {time: performance.now(), metrics}, before = samples[samples.length - 1];
  const count = m => sum(m, 'onnxd_http_request_seconds_count');
  if (before && count(metrics) < count(before.metrics)) samples.length = 0; // the server began anew
  samples.push(now);
  if (samples.length > KEEP) samples.shift();
  const last = samples[samples.length - 2], times = last ? gained(last, now, 'onnxd_request_seconds') : [];
  points.push({time: now.time, rate: last ? grown(last, now, 'onnxd_request_seconds_count') / (now.time - last.time) * 1000 : NaN,
    p50: quantile(times, .5), p99: quantile(times, .99)});
  if (points.length > KEEP) points.shift();
}

function tell(text, kind) {
  at('state').textContent = text;
  at('state').className = 'pill ' + kind;
}

async function health() {
  try {
    await ask('health');
    tell('ready', 'ready');
  } catch (error) {
    tell(error.status ? 'not ready' : 'no answer', 'wrong');
  }
}

/* ---- models ---- */
let listed = '';
async function refreshModels() {
  const text = await ask('v2/repository/index', '');
  if (text === listed) return;
  listed = text;
  const entries = JSON.parse(text);
  at('rows').replaceChildren(...entries.map(e => {
    const row = make('tr', {'data-name': e.name, 'data-version': e.version || ''}, make('td', {}, e.name), make('td', {}, e.version || '–'),
      make('td', {class: e.state === 'READY' ? 'ready' : 'wrong'}, e.state.toLowerCase(), e.reason ? make('span', {class: 'reason'}, e.reason) : ''));
    for (let i = 0; i < 6; i++) row.append(make('td', {class: 'n'}, '–'));
    return row;
  }));
  const names = [...new Set(entries.filter(e => e.state === 'READY').map(e => e.name))], chosen = at('model').value;
  at('model').replaceChildren(...names.map(n => make('option', {}, n)));
  if (names.includes(chosen)) at('model').value = chosen;
  await describe();
}

/* ---- the form ---- */
const paths = () => `v2/models/${encodeURIComponent(at('model').value)}`;

async function describe() {
  if (!at('model').value) return;
  described = JSON.parse(await ask(paths()));
  at('number').replaceChildren(...described.versions.map(v => make('option', {}, v)));
  at('fields').replaceChildren(...(fieldsOf(described) ? [rawFields()] : described.inputs.map(tensorFields)));
  at('answer').replaceChildren();
  showCode();
}

/* A model with a feature description tells its raw fields: parameters.fields: [{name, kind, values}]. */
const fieldsOf = meta => meta.parameters && Array.isArray(meta.parameters.fields) && meta.parameters.fields.length ? meta.parameters.fields : null;
/* An element that indexes a table tells where that ends: parameters.index_below of its input, 0 for numbers. */
const rangesOf = input => input.parameters && input.parameters.index_below || [];
const sizeOf = shape => shape.slice(1).reduce((n, d) => n * Math.max(1, d), 1);
const isText = type => type === 'BYTES';

/* A value that the description allows. */
function plausible(input, i) {
  if (isText(input.datatype)) return '';
  const below = rangesOf(input)[i] || 0;
  if (below > 0) return String(Math.floor(Math.random() * below));
  return /^(FP|BF)/.test(input.datatype) ? Math.random().toFixed(2) : String(Math.floor(Math.random() * 2));
}
function plausibleField(field) {
  if (field.values && field.values.length) return String(field.values[Math.floor(Math.random() * field.values.length)]);
  return field.kind === 'number' ? Math.random().toFixed(2) : '';
}

function rawFields() {
  const box = make('div', {class: 'cells named'});
  for (const f of fieldsOf(described)) {
    const list = f.values && f.values.length ? make('datalist', {id: `values-${f.name}`}, ...f.values.map(v => make('option', {value: v}))) : '';
    const input = make('input', {'data-field': f.name, inputmode: f.kind === 'number' ? 'decimal' : 'text', list: list ? list.id : undefined});
    input.value = plausibleField(f);
    box.append(make('label', {}, f.name, input, list));
  }
  return make('fieldset', {}, make('legend', {}, 'raw fields'), box);
}
function tensorFields(input, index) {
  const n = sizeOf(input.shape), text = isText(input.datatype);
  const legend = make('legend', {}, make('b', {}, input.name), ` ${input.datatype} [${input.shape.map(d => d < 0 ? 'rows' : d).join(', ')}]`);
  if (n > 64) {
    const area = make('textarea', {'data-input': index, 'aria-label': input.name});
    area.value = Array.from({length: n}, (_, i) => text ? '""' : plausible(input, i)).join(', ');
    return make('fieldset', {}, legend, area);
  }
  const box = make('div', {class: 'cells'});
  for (let i = 0; i < n; i++) {
    const cell = make('input', {'data-input': index, 'aria-label': `${input.name} ${i}`, inputmode: text ? 'text' : 'decimal',
      title: rangesOf(input)[i] > 0 ? `0 to ${rangesOf(input)[i] - 1}` : undefined});
    cell.value = plausible(input, i);
    box.append(cell);
  }
  return make('fieldset', {}, legend, box);
}

function valueOf(text, type, name) {
  if (isText(type)) return text;
  if (type === 'BOOL') return !['', '0', 'false'].includes(text.trim());
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new Error(`${name}: '${text}' is not a number`);
  return value;
}
function request() {
  if (fieldsOf(described)) {
    const row = {};
    for (const input of at('fields').querySelectorAll('[data-field]')) {
      const field = fieldsOf(described).find(f => f.name === input.dataset.field);
      row[field.name] = field.kind === 'number' ? valueOf(input.value, 'FP32', field.name)
        : field.kind === 'categories' ? input.value.split(/[,|]/).map(v => v.trim()).filter(v => v) : input.value;
    }
    return {path: `predict?model=${encodeURIComponent(at('model').value)}`, body: row};
  }
  const inputs = described.inputs.map((input, index) => {
    const cells = [...at('fields').querySelectorAll(`[data-input="${index}"]`)];
    const data = cells.length === 1 && cells[0].tagName === 'TEXTAREA' ? JSON.parse(`[${cells[0].value}]`)
      : cells.map((c, i) => valueOf(c.value, input.datatype, `${input.name} ${i}`));
    return {name: input.name, datatype: input.datatype, shape: input.shape.map((d, i) => d < 0 ? 1 : d), data};
  });
  return {path: `${paths()}/versions/${at('number').value}/infer`, body: {inputs}};
}

async function predict(event) {
  event.preventDefault();
  at('predict').disabled = true;
  const out = at('answer');
  try {
    const {path, body} = request(), start = performance.now();
    const answer = JSON.parse(await ask(path, JSON.stringify(body)));
    const took = performance.now() - start;
    const results = answer.outputs ? answer.outputs.map(o => [o.name, o.data, o.shape])
      : Object.entries(answer).filter(([name]) => name !== 'latency_ms').map(([name, v]) => [name, [v].flat(9), null]);
    out.replaceChildren(...results.map(([name, data, shape]) => make('div', {}, make('div', {class: data.length > 4 ? 'out many' : 'out'}, data.join(', ')),
      make('small', {}, name + (shape ? ` [${shape.join(', ')}]` : '')))), make('small', {class: 'reason'}, `${took.toFixed(1)} ms as this browser saw it`));
  } catch (error) {
    out.replaceChildren(make('div', {class: 'wrong'}, error.message));
  }
  at('predict').disabled = false;
}

function shuffle() {
  const seen = {};
  for (const input of at('fields').querySelectorAll('input, textarea')) {
    if (input.dataset.field) {
      input.value = plausibleField(fieldsOf(described).find(f => f.name === input.dataset.field));
      continue;
    }
    const number = input.dataset.input, of = described.inputs[number];
    if (input.tagName === 'TEXTAREA' && !isText(of.datatype)) input.value = Array.from({length: sizeOf(of.shape)}, (_, i) => plausible(of, i)).join(', ');
    else if (!isText(of.datatype)) input.value = plausible(of, seen[number] = (seen[number] ?? -1) + 1);
  }
  showCode();
}

/* ---- code to copy ---- */
const languages = {
  curl: (url, body) => `curl -d '${body.replaceAll("'", "'\\''")}' \\\n  '${url}'`,
  Python: (url, body) => `import json, urllib.request\n\nrow = json.loads(r'''${body}''')\nasked = urllib.request.Request("${url}",\n    data=json.dumps(row).encode())\nprint(json.load(urllib.request.urlopen(asked)))`,
  JavaScript: (url, body) => `const answer = await fetch('${url}', {\n  method: 'POST',\n  body: JSON.stringify(${body}),\n});\nconsole.log(await answer.json());`,
};
let language = 'curl';
function showCode() {
  document.querySelector('.tabs').replaceChildren(...Object.keys(languages).map(name => {
    const tab = make('button', {type: 'button', role: 'tab', 'aria-selected': String(name === language)}, name);
    tab.onclick = () => { language = name; showCode(); };
    return tab;
  }));
  if (!described) return;
  try {
    const {path, body} = request();
    at('code').textContent = languages[language](new URL(path, location.href).href, JSON.stringify(body));
  } catch (error) {
    at('code').textContent = error.message;
  }
}

/* ---- life ---- */
let ticks = 0;
async function turn() {
  const started = performance.now();
  try {
    if (!document.hidden) {
      take(readMetrics(await ask('metrics')));
      if (ticks++ % 5 === 0) { await health(); await refreshModels(); }
      show();
    }
  } catch (error) {
    tell(error.status === 401 ? 'key needed' : error.status ? `error ${error.status}` : 'no answer', 'wrong');
    ticks = 0;
  }
  setTimeout(turn, Math.max(100, TICK_MS - (performance.now() - started)));
}
at('form').onsubmit = predict;
at('form').oninput = showCode;
at('model').onchange = () => describe().catch(error => at('answer').replaceChildren(error.message));
at('shuffle').onclick = shuffle;
at('key').onsubmit = event => {
  event.preventDefault();
  key = event.target.elements.key.value;
  sessionStorage.setItem('onnxd-key', key);
  at('key').hidden = true;
};
addEventListener('resize', () => { if (points.length) show(); });
fetch('v2').then(a => a.ok ? a.json() : {}).then(a => { at('version').textContent = a.version || ''; }, () => {});
turn();
