// JSON as people read it: indented and coloured; answers of the embedded search model also in words.
import { el } from './dom.js';

const LINE = 64;  // what is shorter stays on one line

/** The value of text that is one JSON object or list, undefined for anything else. */
export function parseJson(text) {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function jsonBlock(value) {
  return el('pre', { class: 'json', tabindex: 0, 'aria-label': 'JSON' }, el('code', {}, ...pieces(value, '')));
}

function pieces(value, indent) {
  if (Array.isArray(value)) return group('[', value.map((one) => [undefined, one]), ']', indent);
  if (value !== null && typeof value === 'object') return group('{', Object.entries(value), '}', indent);
  const kind = value === null ? 'null' : typeof value;
  return [el('span', { class: `json-${kind}` }, JSON.stringify(value))];
}

function group(open, entries, close, indent) {
  const flat = entries.every(([, one]) => one === null || typeof one !== 'object');
  const short = open === '[' && flat && JSON.stringify(entries.map(([, one]) => one)).length <= LINE;
  if (entries.length === 0) return [open + close];
  const inner = short ? '' : `${indent}  `;
  const out = [open];
  entries.forEach(([key, one], i) => {
    if (!short) out.push(`\n${inner}`);
    if (key !== undefined) out.push(el('span', { class: 'json-key' }, JSON.stringify(key)), ': ');
    out.push(...pieces(one, inner));
    if (i + 1 < entries.length) out.push(short ? ', ' : ',');
  });
  out.push(short ? close : `\n${indent}${close}`);
  return out;
}

const INTENTS = { find: 'Find', compare: 'Compare', support: 'Help with', off_topic: 'Not about the shop' };
const LISTS = {
  types: 'what', brands: 'brand', colours: 'colour', materials: 'material', sizes: 'size', audience: 'for', not: 'not',
  sort: 'by', note: 'note',
};

/** An answer of the search task (docs/search.md) in words; undefined for other JSON. */
export function searchCard(value) {
  if (value === null || typeof value !== 'object' || !Object.hasOwn(INTENTS, value.intent)) return undefined;
  const listed = Object.entries(LISTS).filter(([key]) => isListed(value[key]));
  const rows = listed.map(([key, name]) => row(name, [value[key]].flat(), key));
  const price = priceText(value.min, value.max);
  if (price) rows.push(row('price', [price], 'price'));
  const title = el('p', { class: 'card-title' }, INTENTS[value.intent]);
  return el('div', { class: 'card' }, title, el('dl', {}, ...rows.flat()));
}

const isListed = (value) => [value].flat().every((one) => typeof one === 'string') && [value].flat().length > 0;

function row(name, values, key) {
  return [el('dt', {}, name), el('dd', {}, ...values.map((one) => el('span', { class: `chip chip-${key}` }, one)))];
}

function priceText(min, max) {
  const money = (cents) => (cents / 100).toLocaleString('en', { minimumFractionDigits: cents % 100 ? 2 : 0 });
  if (Number.isFinite(min) && Number.isFinite(max)) return `${money(min)} to ${money(max)}`;
  if (Number.isFinite(max)) return `up to ${money(max)}`;
  return Number.isFinite(min) ? `from ${money(min)}` : undefined;
}
