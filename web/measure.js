// What one answer took, as this client saw it.
import { percentile } from './numbers.js';

export class Measure {
  #last;
  #gaps = [];

  /** `now`: a clock in milliseconds. */
  constructor(deadlineMs, now = () => performance.now()) {
    this.now = now;
    this.deadlineMs = deadlineMs;
    this.sent = now();
    this.thinkingTokens = 0;
    this.answerTokens = 0;
  }

  /** An event with text came. */
  token(thinking) {
    const now = this.now();
    if (this.#last === undefined) this.firstMs = now - this.sent;
    else this.#gaps.push(now - this.#last);
    this.#last = now;
    if (thinking) this.thinkingTokens += 1;
    else {
      this.answerTokens += 1;
      this.answerFirstMs ??= now - this.sent;
    }
  }

  /** The server's own counts, which also know tokens without text. */
  usage(usage) {
    const thinking = usage.completion_tokens_details?.reasoning_tokens ?? 0;
    this.thinkingTokens = thinking;
    this.answerTokens = usage.completion_tokens - thinking;
  }

  finish() {
    this.totalMs = this.now() - this.sent;
  }

  get elapsedMs() {
    return this.totalMs ?? this.now() - this.sent;
  }
  /** From the first token to the first of the answer. */
  get thinkingMs() {
    return (this.answerFirstMs ?? this.elapsedMs) - (this.firstMs ?? this.elapsedMs);
  }
  get gapP50() {
    return percentile(this.#gaps, 0.5);
  }
  get gapP99() {
    return percentile(this.#gaps, 0.99);
  }
  /** Over the whole answer: several tokens may come in one read, so less than that would say nothing. */
  get tokensPerS() {
    return (1000 * (this.thinkingTokens + this.answerTokens)) / this.totalMs;
  }
}
