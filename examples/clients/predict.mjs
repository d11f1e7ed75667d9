// Calls onnxd from JavaScript with fetch, which Node and browsers have; connections are kept between requests.
// usage: node predict.mjs [URL]
const url = process.argv[2] ?? 'http://127.0.0.1:3000';
const row = [4, 15, 1, 1, 1, 3321, 282, 2, 77, 13, 0.728, 0.09, 0.5, 0.25, 0.125];

async function ask(body) {
  const answer = await fetch(url + '/predict', {method: 'POST', body: JSON.stringify(body)});
  const text = await answer.json();
  if (!answer.ok) throw new Error(`${answer.status}: ${text.error}`);
  return text;
}

console.log('one row:', (await ask({features: row})).ctr);

const rows = [row, [0, ...row.slice(1)], [6, ...row.slice(1)]];
const {predictions} = await ask({instances: rows.map(features => ({features}))});
console.log('three rows:', predictions);

try {
  await ask({features: row.slice(0, 3)});
} catch (error) {
  console.log('as expected:', error.message);
}
