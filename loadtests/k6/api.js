// Load for the public routes of the api, with k6 (https://k6.io): k6 run --env API_URL=https://verify.example.org loadtests/k6/api.js
//
// Arrivals are open-loop: a slow response does not delay the next request (constant-arrival-rate), so the percentiles are not those of a client that
// waits. RATE is requests a second, DURATION the time after a warm-up of 10 s. The api accepts 240 requests a minute of one address: for more, request it
// directly from a machine in its API_TRUSTED_PROXIES with ADDRESSES=many, and each request states another address in X-Forwarded-For. Thresholds: 99th percentile below 100 ms, errors below 0.1 %.
import http from 'k6/http';
import { check } from 'k6';

const url = __ENV.API_URL || 'http://127.0.0.1:8070';
const profile = __ENV.PROFILE ? `?profile=${encodeURIComponent(__ENV.PROFILE)}` : '';
const manyAddresses = __ENV.ADDRESSES === 'many';
const rate = Number(__ENV.RATE || (manyAddresses ? 100 : 3));

export const options = {
  scenarios: {
    warm_up: { executor: 'constant-arrival-rate', rate, duration: '10s', preAllocatedVUs: 50, maxVUs: 500, tags: { phase: 'warm-up' } },
    steady: { executor: 'constant-arrival-rate', rate, startTime: '10s', duration: __ENV.DURATION || '2m', preAllocatedVUs: 50, maxVUs: 500, tags: { phase: 'steady' } },
  },
  thresholds: {
    'http_req_duration{phase:steady}': ['p(99)<100'],
    'http_req_failed{phase:steady}': ['rate<0.001'],
    'checks{phase:steady}': ['rate>0.999'],
    // Arrivals that found no free virtual user: the load was lower than stated.
    dropped_iterations: ['count==0'],
  },
  summaryTrendStats: ['avg', 'p(50)', 'p(95)', 'p(99)', 'max'],
};

// An address of its own for each request, so that no cache answers for all of them.
function address() {
  let digits = '';
  while (digits.length < 40) {
    digits += Math.floor(Math.random() * 0xffffffff).toString(16).padStart(8, '0');
  }
  return `0x${digits.slice(0, 40)}`;
}

// Of 198.18.0.0/15, which is reserved for measurements (RFC 2544).
function headers() {
  const byte = () => Math.floor(Math.random() * 256);
  return manyAddresses ? { 'X-Forwarded-For': `198.${18 + (byte() & 1)}.${byte()}.${byte()}` } : {};
}

export default function requestEligibility() {
  const list = Math.random() < 0.1;
  const response = list
    ? http.get(`${url}/eligibility${profile}`, { headers: headers(), tags: { route: '/eligibility' } })
    : http.get(`${url}/eligibility/${address()}${profile}`, { headers: headers(), tags: { route: '/eligibility/{address}' } });
  check(response, {
    'status is 200': (answer) => answer.status === 200,
    'body is JSON': (answer) => (answer.headers['Content-Type'] || '').startsWith('application/json'),
  });
}
