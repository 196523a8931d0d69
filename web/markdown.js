// The little of Markdown that models write, as nodes: paragraphs, headings, lists, quotes, fenced code, rules; bold,
// italics and code in a line. Links stay text: a model's text opens nothing.
import { el } from './dom.js';

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const QUOTE = /^ {0,3}>\s?/;
const RULE = /^ {0,3}([-*_])\s*(\1\s*){2,}$/;

/** Cuts text into the sources of its blocks; only the last one can change when more text comes. */
export function splitBlocks(text) {
  const blocks = [];
  let lines = [];
  let fence = null;
  const close = () => {
    if (lines.length > 0) blocks.push(lines.join('\n'));
    lines = [];
  };
  for (const line of text.split('\n')) {
    const marks = FENCE.exec(line)?.[1];
    if (fence) {
      lines.push(line);
      if (marks && marks.startsWith(fence) && line.trim() === marks) fence = (close(), null);
    } else if (marks) {
      close();
      fence = marks;
      lines.push(line);
    } else if (line.trim() === '') {
      close();
    } else if (HEADING.test(line) || RULE.test(line)) {
      close();
      lines.push(line);
      close();
    } else {
      if (lines.length > 0 && kind(lines[0]) !== kind(line) && starts(line)) close();
      lines.push(line);
    }
  }
  close();
  return blocks;
}

const kind = (line) => (ITEM.test(line) ? 'list' : QUOTE.test(line) ? 'quote' : 'text');
const starts = (line) => kind(line) !== 'text';

export function renderBlock(source) {
  const lines = source.split('\n');
  const fence = FENCE.exec(lines[0]);
  if (fence) return codeBlock(lines, fence);
  const heading = HEADING.exec(lines[0]);
  if (heading) return el(`h${Math.min(6, heading[1].length + 2)}`, {}, ...inline(heading[2]));
  if (RULE.test(lines[0])) return el('hr');
  if (QUOTE.test(lines[0])) return el('blockquote', {}, ...inline(source.replace(/^ {0,3}>\s?/gm, '')));
  if (ITEM.test(lines[0])) return list(lines);
  return el('p', {}, ...inline(source));
}

function codeBlock(lines, fence) {
  const last = lines[lines.length - 1].trim();
  const closed = lines.length > 1 && last.startsWith(fence[1]) && /^(`+|~+)$/.test(last);
  const code = lines.slice(1, closed ? -1 : undefined).join('\n');
  return el('pre', { 'data-language': fence[2] || null, tabindex: 0 }, el('code', {}, code));
}

/** A list and the lists inside it, by indentation; other lines go on with the item before. */
function list(lines) {
  const root = { indent: -1, node: el('div') };
  const stack = [root];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (!item) {
      stack.at(-1).node.lastElementChild?.append('\n', ...inline(line.trim()));
      continue;
    }
    const [, space, mark, text] = item;
    while (stack.length > 1 && space.length < stack.at(-1).indent) stack.pop();
    if (space.length > stack.at(-1).indent && stack.length < 8) stack.push(openList(stack.at(-1), space.length, mark));
    stack.at(-1).node.append(el('li', {}, ...inline(text)));
  }
  return root.node.firstElementChild;
}

function openList(parent, indent, mark) {
  const ordered = /\d/.test(mark);
  const node = el(ordered ? 'ol' : 'ul', { start: ordered && parseInt(mark, 10) !== 1 ? parseInt(mark, 10) : null });
  (parent.node.lastElementChild?.tagName === 'LI' ? parent.node.lastElementChild : parent.node).append(node);
  return { indent, node };
}

// Bounds what an opening mark without its end costs, for text that has nothing but such marks.
const LONGEST_SPAN = 2000;

const SPANS = [
  [/^(`+)([^`]|[^`].*?[^`])\1(?!`)/s, (found) => el('code', {}, found[2])],
  [/^\*\*(?=\S)(.+?)(?<=\S)\*\*/s, (found) => el('strong', {}, ...inline(found[1]))],
  [/^\*(?=[^\s*])([^*]+?)(?<=\S)\*(?!\*)/s, (found) => el('em', {}, ...inline(found[1]))],
];

function inline(text) {
  const nodes = [];
  let plain = '';
  for (let at = 0; at < text.length; ) {
    const [before, marks] = /^([^`*]*)(`+|\*+|)/.exec(text.slice(at, at + LONGEST_SPAN)).slice(1);
    plain += before;
    at += before.length;
    const found = marks && span(text.slice(at, at + LONGEST_SPAN));
    if (found) {
      nodes.push(plain, found.node);
      plain = '';
    } else {
      plain += marks;
    }
    at += found ? found.length : marks.length;
  }
  nodes.push(plain);
  return nodes.filter((node) => node !== '');
}

function span(text) {
  for (const [pattern, make] of SPANS) {
    const found = pattern.exec(text);
    if (found) return { node: make(found), length: found[0].length };
  }
  return undefined;
}

/** Text that grows: what stands already is left alone, so that selections stay and long answers cost no more. */
export class GrowingText {
  #blocks = [];

  constructor() {
    this.element = el('div', { class: 'prose' });
  }

  set(text) {
    const blocks = splitBlocks(text);
    let same = 0;
    while (same < blocks.length && blocks[same] === this.#blocks[same]) ++same;
    while (this.element.children.length > same) this.element.lastElementChild.remove();
    for (const source of blocks.slice(same)) this.element.append(renderBlock(source));
    this.#blocks = blocks;
  }
}
