// One answer as it grows: the thinking, which folds itself when the answer begins, the text, and what it took.
import { el, setText } from './dom.js';
import { copyButton, factList, timeline } from './facts.js';
import { jsonBlock, parseJson, searchCard } from './json_view.js';
import { GrowingText } from './markdown.js';
import { Measure } from './measure.js';
import { count, formatMs } from './numbers.js';

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
  #fold = el(
    'details',
    { class: 'thinking', hidden: true },
    this.#summary,
    el('div', { class: 'thoughts' }, this.#thoughts),
  );
  #waiting = el(
    'p',
    { class: 'waiting' },
    el('span', { class: 'unseen' }, 'Waiting for the first token'),
    ...[1, 2, 3].map(() => el('i')),
  );
  #after = el('div', { class: 'after' });

  constructor(deadlineMs) {
    this.measure = new Measure(deadlineMs);
    this.element = el(
      'article',
      { class: 'answer', 'aria-busy': 'true', 'aria-label': 'Answer' },
      this.#waiting,
      this.#fold,
      this.#text.element,
      this.#after,
    );
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
    if (this.#reason === 'length') this.#note('Cut: there could be no more tokens.');
    const facts = factList(this.measure, this.#tern, this.onTime);
    this.#after.append(timeline(this.measure), el('div', { class: 'below' }, facts, copyButton(this.#content)));
  }

  stop() {
    this.#end();
    this.#note('Stopped.');
  }

  /** `notice`: what went wrong, as an element. */
  fail(notice) {
    this.#end();
    this.#after.append(notice);
  }

  #note(text) {
    this.#after.append(el('p', { class: 'note' }, text));
  }

  #end() {
    this.measure.finish();
    this.#running = false;
    this.#setFold(false);
    this.#draw();
    const value = parseJson(this.#content);
    if (value !== undefined) {
      this.#text.element.replaceWith(el('div', { class: 'json-answer' }, searchCard(value), jsonBlock(value)));
    }
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
    if (/^\s*[[{]/.test(this.#content)) {
      // JSON under way is no Markdown.
      this.#text.element.replaceChildren(el('pre', { class: 'json' }, el('code', {}, this.#content)));
    } else {
      this.#text.set(this.#content);
    }
  }

  #thinkingSummary() {
    const { thinkingMs, thinkingTokens } = this.measure;
    const thinking = this.#running && !this.#content;
    return `${thinking ? 'Thinking' : 'Thought'} for ${formatMs(thinkingMs)} · ${count(thinkingTokens, 'token')}`
           + (CLOSED_BY[this.#tern?.closed_by] ?? '');
  }
}
