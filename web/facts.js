// What an answer took, under it: where its time went, and figures.
import { el, setText, svg } from './dom.js';
import { formatMs, formatNumber } from './numbers.js';

const fact = ([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value));

/** `tern`: what the server said of it, see docs/serving.md; `onTime`: undefined where there was no deadline. */
export function factList(measure, tern, onTime) {
  const { firstMs, gapP50, gapP99, tokensPerS, totalMs, thinkingTokens, answerTokens } = measure;
  const facts = [
    ['first token', formatMs(firstMs)],
    ['gaps p50 / p99', `${formatMs(gapP50)} / ${formatMs(gapP99)}`],
    ['tokens/s', formatNumber(tokensPerS)],
    thinkingTokens ? ['thinking + answer', `${thinkingTokens} + ${answerTokens}`] : ['tokens', `${answerTokens}`],
    ['whole answer', formatMs(totalMs)],
  ];
  if (Number.isFinite(tern?.actual_ms)) facts.push(served(tern));
  return el('dl', { class: 'facts' }, verdict(measure, tern, onTime), ...facts.map(fact));
}

function served({ actual_ms: actual, predicted_ms: predicted }) {
  if (!Number.isFinite(predicted)) return ['in the server', formatMs(actual)];
  return ['served / predicted', `${formatMs(actual)} / ${formatMs(predicted)}`];
}

function verdict({ deadlineMs }, tern, onTime) {
  if (onTime === undefined) return null;
  const promise = tern?.promised === false ? ', not promised' : '';
  return el(
    'div',
    { class: onTime ? 'verdict good' : 'verdict bad' },
    el('dt', {}, `of ${formatMs(deadlineMs)}${promise}`),
    el('dd', {}, onTime ? '✓ on time' : '✕ late'),
  );
}

/** Waiting, thinking and answering side by side, and the deadline where it is near enough to be seen. */
export function timeline({ firstMs = 0, answerFirstMs, totalMs, deadlineMs }) {
  const answerMs = answerFirstMs ?? totalMs;
  const near = deadlineMs < 3 * totalMs;
  const percent = 100 / (near ? Math.max(totalMs, deadlineMs) * 1.01 : totalMs);
  const bar = (kind, from, to) => {
    const place = { x: `${from * percent}%`, width: `${Math.max(0, to - from) * percent}%`, y: 0, height: 6 };
    return svg('rect', { ...place, class: `part-${kind}` }, svg('title', {}, `${kind}: ${formatMs(to - from)}`));
  };
  const limit = () => {
    const place = { x: `${deadlineMs * percent}%`, width: 2, y: 0, height: 10 };
    return svg('rect', { ...place, class: 'limit' }, svg('title', {}, `deadline: ${formatMs(deadlineMs)}`));
  };
  const [waited, thought, answered] = [firstMs, answerMs - firstMs, totalMs - answerMs].map(formatMs);
  const label = `Waited ${waited}, thought ${thought}, answered ${answered}`;
  return svg(
    'svg',
    { class: 'timeline', width: '100%', height: 10, role: 'img', 'aria-label': label },
    bar('waiting', 0, firstMs),
    bar('thinking', firstMs, answerMs),
    bar('answering', answerMs, totalMs),
    near && limit(),
  );
}

/** Nothing where the browser gives no clipboard (a page that came over plain HTTP from another machine). */
export function copyButton(text) {
  if (!navigator.clipboard) return null;
  const node = el('button', { type: 'button', class: 'copy', click: copy }, 'Copy');
  async function copy() {
    const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
    setText(node, done ? 'Copied' : 'Not allowed');
    setTimeout(() => setText(node, 'Copy'), 1500);
  }
  return node;
}
