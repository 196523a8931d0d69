// What is asked for beside the question: two dials in sight, the rest behind "More".
import { byId, setText } from './dom.js';
import { count, formatMs, logScale } from './numbers.js';

const DEADLINE_STEPS = 60;   // the last one: none
const deadlines = logScale(50, 60_000, DEADLINE_STEPS - 1);
const BUDGETS = [0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];
const KEY = 'tern-key';

export class Settings {
  #budgets = [...BUDGETS, undefined];
  #key = readKey();

  constructor() {
    for (const id of ['deadline', 'budget', 'temperature']) byId(id).addEventListener('input', () => this.#show());
    // Not with each letter: the live figures would ask with half a key.
    byId('key').addEventListener('change', () => this.#setKey(byId('key').value.trim()));
    byId('more-button').addEventListener('click', () => this.#toggleMore());
    if (this.#key) this.showKey();
    byId('budget').max = BUDGETS.length;
    byId('budget').value = BUDGETS.length;
    this.#show();
  }

  /** Budgets beyond the model's context would say nothing. */
  setContext(tokens) {
    const dial = byId('budget');
    const chosen = this.budget;
    this.#budgets = [...BUDGETS.filter((budget) => budget < tokens), undefined];
    dial.max = this.#budgets.length - 1;
    dial.value = this.#budgets.includes(chosen) ? this.#budgets.indexOf(chosen) : dial.max;
    this.#show();
  }

  get key() {
    return this.#key;
  }
  /** Milliseconds, or undefined for none. */
  get deadlineMs() {
    const step = Number(byId('deadline').value);
    return step === DEADLINE_STEPS ? undefined : deadlines.value(step);
  }
  get budget() {
    return this.#budgets[Number(byId('budget').value)];
  }
  get temperature() {
    const step = Number(byId('temperature').value);
    return step === 0 ? undefined : (step - 1) / 10;
  }

  /** The fields of a request that stand for what is set; what is not set stays the server's. */
  fields() {
    const fields = {};
    if (this.deadlineMs !== undefined) {
      fields.deadline_ms = this.deadlineMs;
      fields.late = byId('late').value;
    }
    if (this.budget === 0) fields.reasoning_effort = 'none';
    else if (this.budget !== undefined) fields.thinking_budget_tokens = this.budget;
    if (this.temperature !== undefined) fields.temperature = this.temperature;
    const most = Math.floor(Number(byId('max-tokens').value));
    if (most >= 1) fields.max_completion_tokens = most;
    return fields;
  }

  /** The server wants a key. */
  askForKey() {
    this.showKey();
    byId('key').focus();
  }

  showKey() {
    if (byId('key-row').hidden) byId('key').value = this.#key;
    byId('key-row').hidden = false;
  }

  #setKey(key) {
    this.#key = key;
    try {
      if (key) sessionStorage.setItem(KEY, key);
      else sessionStorage.removeItem(KEY);
    } catch {
      // Storage may be forbidden; the key then lives as long as the page.
    }
  }

  #toggleMore() {
    const more = byId('more');
    more.hidden = !more.hidden;
    byId('more-button').setAttribute('aria-expanded', String(!more.hidden));
  }

  #show() {
    const { deadlineMs, budget, temperature } = this;
    say('deadline', deadlineMs && formatMs(deadlineMs), 'none');
    say('budget', budget === 0 ? 'off' : budget && count(budget, 'token'), 'free');
    say('temperature', temperature?.toFixed(1), 'the model’s');
  }
}

function say(id, chosen, otherwise) {
  const text = chosen ?? otherwise;
  setText(byId(`${id}-value`), text);
  byId(`${id}-value`).toggleAttribute('data-unset', chosen === undefined);
  byId(id).setAttribute('aria-valuetext', text);
}

function readKey() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}
