// Wires the page: who listens to what.
import { firstModel } from './api.js';
import { Chat } from './chat.js';
import { byId, el, setText } from './dom.js';
import { Live } from './live.js';
import { Settings } from './settings.js';

const EMBEDDED = 'tern-search';
// Dev queries that the embedded model answers right (scripts/run-queries.txt).
const EXAMPLES = [
  'need anything to keep mylk coldnot whte as a gift',
  'we need kogi carpet instead of ukulelesunder 50 euros',
  'Grusri something for folk dances aboht 50 eur for my byrthday',
  'browse vimfrer something to lighht up a corner',
  'hi my vokz was srolen phrom the doorstep',
];

const settings = new Settings();
const live = new Live(settings, meetModel);
const chat = new Chat(settings, (answer) => live.addAnswer(answer));
const question = byId('question');

/** Called until the server told its model, also after it was away or wanted a key. */
async function meetModel() {
  const model = await firstModel(settings.key);
  if (typeof model?.id !== 'string' || model.id === chat.model) return;
  chat.model = model.id;
  chat.singleTurn = model.id === EMBEDDED;
  setText(byId('model'), model.id);
  document.title = `tern · ${model.id}`;
  if (Number.isFinite(model.max_model_len)) settings.setContext(model.max_model_len);
  if (chat.singleTurn) showExamples();
}

function showExamples() {
  question.placeholder = 'A shop query, as sloppy as you like';
  byId('examples').replaceChildren(...EXAMPLES.map((text) =>
    el('li', {}, el('button', { type: 'button', class: 'example', click: () => chat.ask(text) }, text))));
}

function send() {
  if (chat.busy || question.value.trim() === '') return;
  chat.ask(question.value.trim());
  question.value = '';
  fitQuestion();
}

function fitQuestion() {
  question.style.height = 'auto';
  question.style.height = `${question.scrollHeight}px`;
}

function show(view) {
  document.body.dataset.view = view;
  for (const button of document.querySelectorAll('[data-show]')) {
    button.setAttribute('aria-pressed', String(button.dataset.show === view));
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try {
    localStorage.setItem('tern-theme', root.dataset.theme);
  } catch {
    // Storage may be forbidden; the choice then lives as long as the page.
  }
  live.draw();
}

byId('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  send();
});
question.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
question.addEventListener('input', fitQuestion);
document.addEventListener('keydown', (event) => event.key === 'Escape' && chat.stop());
byId('stop').addEventListener('click', () => {
  chat.stop();
  question.focus();
});
byId('new-chat').addEventListener('click', () => {
  chat.clear();
  show('chat');
  question.focus();
});
byId('theme').addEventListener('click', switchTheme);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => live.draw());
for (const button of document.querySelectorAll('[data-show]')) {
  button.addEventListener('click', () => show(button.dataset.show));
}
// Where there is a keyboard; elsewhere one would pop up over the page.
if (matchMedia('(pointer: fine)').matches) question.focus();
live.start();
