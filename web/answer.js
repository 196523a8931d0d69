// One answer as it grows: the thinking, which folds itself when the answer begins, the text, and what it took.
import { el, setText, svg } from './dom.js';
import { jsonBlock, parseJson, searchCard } from './json_view.js';
import { GrowingText } from './markdown.js';
import { Measure } from './measure.js';
import { count, formatMs, formatNumber } from './numbers.js';

const CLOSED_BY = { budget: ', closed by the budget', deadline: ', closed for the deadline' };

export class Answer {
  #content = '';
  #drawn = '';
  #reason;
  #tern;
  #running = true;
  #text = new GrowingText();
  #summary = el('summary');
  #thoughts = document.createTextNode('');
  #fold = el('details', { class: 'thinking', hidden: true }, this.#summary, el('div', { class: 'thoughts' }, this.#thoughts));
  #waiting = el('p', { class: 'waiting' }, el('span', { class: 'unseen' }, 'Waiting for the first token'), el('i'), el('i'), el('i'));
  #after = el('div', { class: 'after' });

  constructor(deadlineMs) {
    this.measure = new Measure(deadlineMs);
    this.element = el('article', { class: 'answer', 'aria-busy': 'true', 'aria-label': 'Answer' },
                      this.#waiting, this.#fold, this.#text.element, this.#after);
    // Whoever opens or closes the thinking by hand has it as they want it.
    this.#summary.addEventListener('click', () => (this.#fold.dataset.byHand = ''));
    this.#eachFrame();
  }

  /** The answer without its thinking. */
  get text() {
    return this.#content;
  }
  /** true, false, or undefined where no deadline was set or the answer has not ended. */
  get onTime() {
    if (this.#running || this.measure.deadlineMs === undefined) return undefined;
    return this.#tern?.on_time ?? (this.#reason === 'stop' && this.measure.totalMs <= this.measure.deadlineMs);
  }

  /** One event of the stream. */
  feed(event) {
    if (event.usage) this.measure.usage(event.usage);
    const choice = event.choices?.[0];
    const { reasoning_content: thinking, content } = choice?.delta ?? {};
    if (thinking) this.#think(thinking);
    if (content) this.#say(content);
    this.#reason = choice?.finish_reason ?? this.#reason;
    this.#tern = choice?.tern ?? this.#tern;
  }

  #think(text) {
    this.measure.token(true);
    if (this.#fold.hidden) this.#setFold(true);
    this.#fold.hidden = false;
    this.#thoughts.appendData(text);
  }

  #say(text) {
    this.measure.token(false);
    if (!this.#content) this.#setFold(false);
    this.#content += text;
  }

  #setFold(open) {
    if (this.#fold.dataset.byHand === undefined) this.#fold.open = open;
  }

  finish() {
    this.#end();
    if (this.#reason === 'length') this.#after.append(el('p', { class: 'note' }, 'Cut: it reached the most tokens there could be.'));
    this.#after.append(timeline(this.measure), el('div', { class: 'below' }, this.#facts(), this.#copyButton() ?? ''));
  }

  stop() {
    this.#end();
    this.#after.append(el('p', { class: 'note' }, 'Stopped.'));
  }

  /** `notice`: what went wrong, as an element. */
  fail(notice) {
    this.#end();
    this.#after.append(notice);
  }

  #end() {
    this.measure.finish();
    this.#running = false;
    this.#setFold(false);
    this.#draw();
    const value = parseJson(this.#content);
    if (value !== undefined) this.#text.element.replaceWith(el('div', { class: 'json-answer' }, searchCard(value), jsonBlock(value)));
    this.element.removeAttribute('aria-busy');
  }

  #eachFrame() {
    if (!this.#running) return;
    this.#draw();
    requestAnimationFrame(() => this.#eachFrame());
  }

  #draw() {
    this.#waiting.hidden = !this.#running || !this.#fold.hidden || this.#content !== '';
    if (!this.#fold.hidden) setText(this.#summary, this.#thinkingSummary());
    if (this.#drawn === this.#content) return;
    this.#drawn = this.#content;
    // JSON under way is no Markdown.
    if (/^\s*[[{]/.test(this.#content)) this.#text.element.replaceChildren(el('pre', { class: 'json' }, el('code', {}, this.#content)));
    else this.#text.set(this.#content);
  }

  #thinkingSummary() {
    const { thinkingMs, thinkingTokens } = this.measure;
    const thinking = this.#running && !this.#content;
    return `${thinking ? 'Thinking' : 'Thought'} for ${formatMs(thinkingMs)} · ${count(thinkingTokens, 'token')}`
           + (CLOSED_BY[this.#tern?.closed_by] ?? '');
  }

  #facts() {
    const { firstMs, gapP50, gapP99, tokensPerS, totalMs, thinkingTokens, answerTokens } = this.measure;
    const facts = [
      ['first token', formatMs(firstMs)],
      ['gaps p50 / p99', `${formatMs(gapP50)} / ${formatMs(gapP99)}`],
      ['tokens/s', formatNumber(tokensPerS)],
      thinkingTokens ? ['thinking + answer', `${thinkingTokens} + ${answerTokens}`] : ['tokens', `${answerTokens}`],
      ['whole answer', formatMs(totalMs)],
    ];
    const { actual_ms: actual, predicted_ms: predicted } = this.#tern ?? {};
    if (Number.isFinite(actual)) facts.push(served(actual, predicted));
    return el('dl', { class: 'facts' }, this.#verdict(), ...facts.map(([name, value]) => fact(name, value)));
  }

  /** Nothing where the browser gives no clipboard (a page that came over plain HTTP from another machine). */
  #copyButton() {
    if (!navigator.clipboard) return null;
    const copy = async () => {
      await navigator.clipboard.writeText(this.#content).then(() => setText(node, 'Copied'), () => setText(node, 'Not allowed'));
      setTimeout(() => setText(node, 'Copy'), 1500);
    };
    const node = el('button', { type: 'button', class: 'copy', click: copy }, 'Copy');
    return node;
  }

  #verdict() {
    if (this.onTime === undefined) return null;
    const promise = this.#tern?.promised === false ? ', not promised' : '';
    return el('div', { class: this.onTime ? 'verdict good' : 'verdict bad' }, el('dt', {}, `of ${formatMs(this.measure.deadlineMs)}${promise}`),
              el('dd', {}, this.onTime ? '✓ on time' : '✕ late'));
  }
}

const served = (actual, predicted) => Number.isFinite(predicted)
  ? ['served / predicted', `${formatMs(actual)} / ${formatMs(predicted)}`]
  : ['in the server', formatMs(actual)];

const fact = (name, value) => el('div', {}, el('dt', {}, name), el('dd', {}, value));

/** Waiting, thinking and answering side by side, and the deadline where it is near enough to be seen. */
function timeline({ firstMs = 0, answerFirstMs, totalMs, deadlineMs }) {
  const near = deadlineMs !== undefined && deadlineMs < 3 * totalMs;
  const scale = 100 / (near ? Math.max(totalMs, deadlineMs) * 1.01 : totalMs);
  const answerMs = answerFirstMs ?? totalMs;
  const bar = (from, to, kind) =>
    svg('rect', { x: `${from * scale}%`, width: `${Math.max(0, to - from) * scale}%`, y: 0, height: 6, class: `part-${kind}` },
        svg('title', {}, `${kind}: ${formatMs(to - from)}`));
  return svg('svg', { class: 'timeline', width: '100%', height: 10, role: 'img',
                      'aria-label': `Waited ${formatMs(firstMs)}, thought ${formatMs(answerMs - firstMs)}, answered ${formatMs(totalMs - answerMs)}` },
             bar(0, firstMs, 'waiting'), bar(firstMs, answerMs, 'thinking'), bar(answerMs, totalMs, 'answering'),
             near && svg('rect', { x: `${deadlineMs * scale}%`, width: 2, y: 0, height: 10, class: 'limit' },
                         svg('title', {}, `deadline: ${formatMs(deadlineMs)}`)));
}
