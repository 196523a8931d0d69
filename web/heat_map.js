// Which experts the tokens of late went to: a row a layer, a column an expert.
import { Canvas } from './canvas.js';
import { el, setText } from './dom.js';
import { formatNumber } from './numbers.js';

const MOST = 3;  // times the even share: the end of the scale
const SHADES = 48;
const EDGE = { top: 5, right: 6, bottom: 16 };

/** Steps of even lightness in OKLCH, from the background's towards the ink's. */
function shades(dark) {
  const [from, to] = dark ? [[0.26, 0.02, 265], [0.93, 0.09, 190]] : [[0.965, 0.012, 220], [0.36, 0.13, 265]];
  return Array.from({ length: SHADES }, (_, i) => {
    const [l, c, h] = from.map((value, part) => value + ((to[part] - value) * i) / (SHADES - 1));
    return `oklch(${l.toFixed(4)} ${c.toFixed(4)} ${h.toFixed(1)})`;
  });
}

export class HeatMap {
  #canvas = new Canvas('heat', () => this.#paint(), (point) => this.#point(point));
  #legend = new Canvas('legend', () => this.#paint(), () => {});
  #readout = el('p', { class: 'readouts' });
  #rows = [];  // times the even share
  #pointer = null;
  #frame = null;

  constructor() {
    this.element = el(
      'section',
      { class: 'plot-card wide', hidden: true },
      el('h3', {}, 'Experts by layer ', el('small', {}, 'share of tokens')),
      this.#readout,
      this.#canvas.node,
      this.#legend.node,
    );
  }

  /** `experts`: for each MoE layer each expert's share, on any scale; hides itself for anything else. */
  update(experts) {
    this.#rows = isTable(experts) ? experts.map(timesEven) : [];
    this.element.hidden = this.#rows.length === 0;
    this.#canvas.node.style.height = `${this.#rows.length * this.#cellHeight() + EDGE.top + EDGE.bottom}px`;
    this.#paint();
  }

  #cellHeight() {
    return Math.max(5, Math.min(18, Math.floor(300 / this.#rows.length)));
  }

  #point(point) {
    this.#pointer = point;
    this.#paint();
  }

  #paint() {
    if (this.element.hidden) return;
    const drawing = this.#canvas.begin();
    if (!drawing) return;
    const colours = shades(getComputedStyle(this.#canvas.node).getPropertyValue('--is-dark').trim() === '1');
    this.#axes(drawing);
    this.#cells(drawing, colours);
    this.#read(drawing);
    this.#paintLegend(colours);
  }

  #axes({ context, width, height }) {
    const last = String(this.#rows.length);
    const left = Math.ceil(context.measureText(last).width) + 8;
    const columns = Math.max(...this.#rows.map((row) => row.length));
    this.#frame = { left, width: width - left - EDGE.right, cell: this.#cellHeight(), columns };
    context.fillStyle = this.#canvas.colour('--faint');
    context.textAlign = 'right';
    const every = Math.ceil(12 / this.#frame.cell);
    this.#rows.forEach((_, i) => {
      if (i % every === 0) context.fillText(String(i + 1), left - 6, EDGE.top + (i + 0.5) * this.#frame.cell);
    });
    context.textAlign = 'left';
    context.fillText('expert 0', left, height - 6);
    context.textAlign = 'right';
    context.fillText(String(columns - 1), width - EDGE.right, height - 6);
  }

  #cells({ context }, colours) {
    const { left, width, cell, columns } = this.#frame;
    const gap = width / columns > 6 && cell > 8 ? 1 : 0;
    const x = (column) => Math.round(left + (column * width) / columns);
    this.#rows.forEach((row, i) => row.forEach((times, j) => {
      context.fillStyle = colours[Math.round(Math.min(1, times / MOST) * (SHADES - 1))];
      context.fillRect(x(j), EDGE.top + i * cell, x(j + 1) - x(j) - gap, cell - gap);
    }));
  }

  #read({ context }) {
    const { left, width, cell, columns } = this.#frame;
    const column = Math.floor(((this.#pointer?.x - left) * columns) / width);
    const line = Math.floor((this.#pointer?.y - EDGE.top) / cell);
    if (this.#rows[line]?.[column] !== undefined) {
      setText(this.#readout, this.#cellText(line, column));
      context.strokeStyle = this.#canvas.colour('--ink');
      const x = Math.round(left + (column * width) / columns) - 0.5;
      context.strokeRect(x, EDGE.top + line * cell - 0.5, width / columns, cell);
    } else {
      setText(this.#readout, this.#busiestText());
    }
    const label = `${this.#rows.length} layers of ${columns} experts; ${this.#readout.textContent}`;
    this.#canvas.node.setAttribute('aria-label', label);
  }

  #cellText(line, column) {
    const times = this.#rows[line][column];
    const share = formatNumber((times * 100) / this.#rows[line].length);
    return `layer ${line + 1}, expert ${column}: ${share}%, ${formatNumber(times)} times the even share`;
  }

  #busiestText() {
    const most = this.#rows.flat().reduce((a, b) => Math.max(a, b), 0);
    return most > 0 ? `busiest: ${formatNumber(most)} times the even share` : 'no tokens of late';
  }

  #paintLegend(colours) {
    const drawing = this.#legend.begin();
    if (!drawing) return;
    const { context, width } = drawing;
    const { left } = this.#frame;
    const step = (width - left - EDGE.right) / SHADES;
    colours.forEach((colour, i) => {
      context.fillStyle = colour;
      context.fillRect(left + i * step, 0, step + 0.5, 6);
    });
    context.fillStyle = this.#legend.colour('--faint');
    for (const [times, text] of [[0, 'none'], [1, 'even'], [2, '2 ×'], [MOST, `${MOST} × and more`]]) {
      context.textAlign = times === 0 ? 'left' : times === MOST ? 'right' : 'center';
      context.fillText(text, left + (times / MOST) * step * SHADES, 14);
    }
    this.#legend.node.setAttribute('aria-label', `Colours: none to ${MOST} times the even share and more`);
  }
}

const isTable = (value) => Array.isArray(value) && value.length > 0 &&
  value.every((row) => Array.isArray(row) && row.length > 0 && row.every((one) => Number.isFinite(one) && one >= 0));

function timesEven(row) {
  const sum = row.reduce((a, b) => a + b, 0);
  return row.map((share) => (sum > 0 ? (share * row.length) / sum : 0));
}
