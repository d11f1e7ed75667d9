// A different row each request to POST /predict, at a constant rate, with objectives.
//   k6 run -e URL=http://127.0.0.1:3000 -e RATE=1000 -e TIME=30s scripts/k6_predict.js
// k6 exits with 99 when an objective is broken. It starts requests by the clock, as `onnxd bench load -R` does, but
// counts their time from the sending; dropped_iterations tells what it could not start in time.
import http from 'k6/http';
import { check } from 'k6';

const url = __ENV.URL || 'http://127.0.0.1:3000';
const heights = [7, 24, 35, 370, 5, 20000, 10000, 4, 150, 70]; // of the tables that the first ten numbers index
const denseCount = 5;

export const options = {
    scenarios: {
        steady: {
            executor: 'constant-arrival-rate',
            rate: Number(__ENV.RATE || 1000),
            timeUnit: '1s',
            duration: __ENV.TIME || '30s',
            preAllocatedVUs: 64,
        },
    },
    thresholds: {
        http_req_failed: ['rate<0.001'],
        http_req_duration: ['p(99)<10'], // ms
    },
};

function row() {
    const out = heights.map((height) => Math.floor(Math.random() * height));
    for (let i = 0; i < denseCount; i++) out.push(Number(Math.random().toFixed(4)));
    return out;
}

export default function () {
    const answer = http.post(`${url}/predict`, JSON.stringify({ features: row() }), {
        headers: { 'Content-Type': 'application/json' },
    });
    check(answer, {
        'status is 200': (a) => a.status === 200,
        'a probability': (a) => a.json('ctr') >= 0 && a.json('ctr') <= 1,
    });
}
