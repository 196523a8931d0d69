// What went wrong, kindly, and what can be done about it.
import { el, setText } from './dom.js';
import { formatMs } from './numbers.js';

const button = (text, press) => el('button', { type: 'button', class: 'plain', click: press }, text);

/** A button that waits until the server said that trying again helps. */
function retryButton(waitMs, retry) {
  const until = performance.now() + waitMs;
  const node = button('Try again', retry);
  const tick = () => {
    const left = until - performance.now();
    node.disabled = left > 0;
    setText(node, left > 0 ? `Try again in ${formatMs(Math.max(left, 100))}` : 'Try again');
    if (left > 0) setTimeout(tick, Math.min(left, 100));
  };
  tick();
  return node;
}

/** `actions`: {retry, tryAnyway, startAnew}, functions. */
export function failureNotice(failure, actions) {
  const { title, buttons } = kindOf(failure, actions);
  const said = failure.message.charAt(0).toUpperCase() + failure.message.slice(1);
  return el('div', { class: 'notice', role: 'alert' }, el('p', { class: 'notice-title' }, title),
            said !== title && el('p', {}, said), el('div', { class: 'buttons' }, ...buttons));
}

function kindOf(failure, { retry, tryAnyway, startAnew }) {
  const again = () => retryButton(failure.retryMs ?? 0, retry);
  if (failure.code === 'deadline_infeasible') {
    const buttons = [again(), button('Try anyway', tryAnyway)];
    return { title: 'This deadline can’t be promised right now.', buttons };
  }
  if (failure.status === 429) return { title: 'The server is busy.', buttons: [again()] };
  if (failure.status === 401) return { title: 'This server asks for an API key.', buttons: [again()] };
  if (failure.code === 'context_length_exceeded') {
    return { title: 'This is longer than the model can read.', buttons: [button('New chat', startAnew)] };
  }
  if (failure.status === 0) return { title: failure.message, buttons: [again()] };
  return { title: 'The server refused this.', buttons: [again()] };
}
