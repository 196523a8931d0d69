// The conversation: questions out, answers in, one at a time; kept in memory alone.
import { Answer } from './answer.js';
import { Failure, streamChat } from './api.js';
import { byId, el } from './dom.js';
import { failureNotice } from './notice.js';

export class Chat {
  #turns = [];
  #abort = null;
  #settings;
  #onAnswer;

  /** `onAnswer(answer)`: a whole answer came. */
  constructor(settings, onAnswer) {
    this.#settings = settings;
    this.#onAnswer = onAnswer;
    this.model = undefined;
    this.singleTurn = false;  ///< each question stands for itself
  }

  get busy() {
    return this.#abort !== null;
  }

  ask(question) {
    if (this.busy || question.trim() === '') return;
    const turn = { question, answer: null, slot: el('div') };
    this.#turns.push(turn);
    byId('welcome').hidden = true;
    byId('log').append(el('div', { class: 'turn' }, el('p', { class: 'question' }, question), turn.slot));
    this.#answer(turn, {});
  }

  stop() {
    this.#abort?.abort();
  }

  clear() {
    this.stop();
    this.#turns = [];
    byId('log').replaceChildren();
    byId('welcome').hidden = false;
  }

  /** `instead`: fields of the request in place of the settings' own. */
  async #answer(turn, instead) {
    if (this.busy) return;
    const abort = (this.#abort = new AbortController());
    this.#setBusy(true);
    const fields = { ...this.#settings.fields(), ...instead };
    const answer = (turn.answer = new Answer(fields.deadline_ms));
    turn.slot.replaceChildren(answer.element);
    scrollDown();
    const following = followGrowth(answer.element);
    try {
      const body = { model: this.model, messages: this.#messages(turn), ...fields };
      for await (const event of streamChat(body, { key: this.#settings.key, signal: abort.signal })) answer.feed(event);
      answer.finish();
      this.#onAnswer(answer);
    } catch (error) {
      if (error.name === 'AbortError') answer.stop();
      else this.#fail(turn, error);
    } finally {
      if (this.#abort === abort) this.#abort = null;
      this.#setBusy(this.busy);
      following.disconnect();
    }
  }

  #fail(turn, error) {
    const failure = error instanceof Failure ? error : new Failure(0, `The page failed: ${error.message}`);
    const actions = {
      retry: () => this.#answer(turn, {}),
      tryAnyway: () => this.#answer(turn, { late: 'best_effort' }),
      startAnew: () => this.clear(),
    };
    turn.answer.fail(failureNotice(failure, actions));
    if (failure.status === 401) this.#settings.askForKey();
  }

  /** Turns without an answer are left out: many chat templates want roles to alternate. */
  #messages(last) {
    const before = this.singleTurn ? [] : this.#turns.slice(0, this.#turns.indexOf(last));
    const messages = before
      .filter((turn) => turn.answer.text)
      .flatMap(({ question, answer }) => [message('user', question), message('assistant', answer.text)]);
    return [...messages, message('user', last.question)];
  }

  #setBusy(busy) {
    byId('send').hidden = busy;
    byId('stop').hidden = !busy;
  }
}

const message = (role, content) => ({ role, content });

function scrollDown() {
  const scroller = byId('scroller');
  scroller.scrollTop = scroller.scrollHeight;
}

/** Keeps the end in sight while the answer grows, unless the reader has scrolled away from it. */
function followGrowth(element) {
  const scroller = byId('scroller');
  let atEnd = true;
  const onScroll = () => (atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60);
  scroller.addEventListener('scroll', onScroll, { passive: true });
  const observer = new ResizeObserver(() => atEnd && scrollDown());
  observer.observe(element);
  return {
    // The last growth is seen after the answer has ended.
    disconnect: () => setTimeout(() => {
      observer.disconnect();
      scroller.removeEventListener('scroll', onScroll);
    }, 200),
  };
}
