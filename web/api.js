// The server's API as this page uses it. Addresses are relative, so that the page also works behind a proxy's path.
import { SseParser } from './sse.js';

/** What kept an answer from coming: `status` 0 where the server couldn't be reached. */
export class Failure extends Error {
  constructor(status, message, { code, retryMs } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryMs = retryMs;
  }
}

const headers = (key, more = {}) => (key ? { ...more, Authorization: `Bearer ${key}` } : more);

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: 'no-store', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure(0, 'The server can’t be reached.');
  }
  if (response.ok) return response;
  throw await failureOf(response);
}

async function failureOf(response) {
  const error = await response.json().then((body) => body?.error, () => undefined);
  const wait = Number(response.headers.get('retry-after-ms') ?? NaN);
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  const retryMs = [wait, seconds * 1000].find(Number.isFinite);
  return new Failure(response.status, String(error?.message ?? `The server answered ${response.status}.`),
                     { code: error?.code, retryMs });
}

async function getJson(path, key, signal) {
  const response = await request(path, { headers: headers(key), signal });
  try {
    return await response.json();
  } catch {
    throw new Failure(response.status, 'The server’s reply is no JSON.');
  }
}

/** The server's first model: {id, max_model_len, …}. */
export const firstModel = async (key) => (await getJson('v1/models', key)).data?.[0];

/** See docs/serving.md; each key may be missing. */
export const stats = (key, signal) => getJson('stats', key, signal);

/** The events of one chat completion as they come. Throws Failure, or AbortError where `signal` says so. */
export async function* streamChat(body, { key, signal }) {
  const response = await request('v1/chat/completions', {
    method: 'POST',
    headers: headers(key, { 'Content-Type': 'application/json' }),
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  for await (const data of eventData(response.body)) {
    if (data === '[DONE]') return;
    const event = parseEvent(data);
    if (event.error) throw new Failure(500, String(event.error.message), { code: event.error.code });
    yield event;
  }
  throw new Failure(0, 'The connection ended before the answer did.');
}

function parseEvent(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new Failure(0, 'The server sent an event that is no JSON.');
  }
}

async function* eventData(stream) {
  const parser = new SseParser();
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure(0, 'The connection broke.');
  } finally {
    reader.cancel().catch(() => {});
  }
}
