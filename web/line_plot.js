// Figures over the last minutes: lines that the server told, circles for this page's own answers.
import { Canvas } from './canvas.js';
import { el, setText } from './dom.js';
import { formatNumber, niceCeiling } from './numbers.js';

export const SPAN_S = 120;
const BREAK_S = 3.5;  // samples further apart are not joined
const EDGE = { top: 6, right: 6, bottom: 16 };

export class LinePlot {
  #spec;
  #readouts;
  #when = el('span', { class: 'when' });
  #canvas = new Canvas('plot', () => this.#paint(), (point) => this.#point(point));
  #samples = [];
  #dots = [];
  #now = 0;
  #pointer = null;
  #frame = { left: 0, width: 1 };

  /**
   * spec: {title, unit, most (of the axis, where it is fixed), least (of the axis' end),
   * series: [{label, colour, read(stats, samples, index)}], dots: read(answer) of this page's own}. A value is undefined
   * where the server doesn't know of it, and null where there was nothing to measure.
   */
  constructor(spec) {
    this.#spec = { dots: () => undefined, ...spec };
    const marks = [...spec.series, { label: '', colour: '--own', ring: true }];
    this.#readouts = marks.map((mark) => {
      const value = el('b');
      const swatch = el('i', { class: mark.ring ? 'swatch ring' : 'swatch' });
      swatch.style.color = `var(${mark.colour})`;
      return { value, node: el('span', { class: 'readout' }, swatch, mark.label ? `${mark.label} ` : '', value) };
    });
    this.element = el(
      'section',
      { class: 'plot-card', hidden: true },
      el('h3', {}, spec.title, ' ', el('small', {}, spec.unit)),
      el('p', { class: 'readouts' }, ...this.#readouts.map((one) => one.node), this.#when),
      this.#canvas.node,
    );
  }

  /** `samples`: [{s, stats}], `answers`: [{s, answer}], by time, in seconds as `now`. Hides itself without any. */
  update(samples, answers, now) {
    const read = this.#spec.series.map((one) => one.read);
    this.#samples = samples.map(({ s, stats }, i) => ({ s, values: read.map((of) => of(stats, samples, i)) }));
    const dots = answers.map(({ s, answer }) => ({ s, value: this.#spec.dots(answer) }));
    this.#dots = dots.filter((dot) => Number.isFinite(dot.value));
    this.#now = now;
    const known = this.#samples.some((one) => one.values.some((value) => value !== undefined));
    this.element.hidden = !known && this.#dots.length === 0;
    this.#readouts.forEach((one, i) => {
      one.node.hidden = i < read.length ? !known : this.#dots.length === 0;
    });
    this.#paint();
  }

  #point(point) {
    this.#pointer = point;
    this.#paint();
  }

  #paint() {
    if (this.element.hidden) return;
    const drawing = this.#canvas.begin();
    const chosen = this.#chosen();
    this.#read(chosen);
    if (!drawing) return;
    this.#axes(drawing);
    this.#spec.series.forEach((one, i) => this.#line(drawing, i, this.#canvas.colour(one.colour)));
    this.#rings(drawing);
    if (chosen.s !== undefined) this.#cursor(drawing, chosen.s);
    this.#describe();
  }

  /** What the readouts show: the sample under the pointer, else the last. */
  #chosen() {
    if (!this.#pointer) return { sample: this.#samples.at(-1), dot: this.#dots.at(-1) };
    const s = this.#now - SPAN_S * (1 - (this.#pointer.x - this.#frame.left) / this.#frame.width);
    const [sample, dot] = [nearest(this.#samples, s), nearest(this.#dots, s)];
    return { sample, dot, s: (sample ?? dot)?.s };
  }

  #read({ sample, dot, s }) {
    const values = [...(sample?.values ?? this.#spec.series.map(() => undefined)), dot?.value];
    const short = (value) => formatNumber(value >= 10 ? Math.round(value) : value);
    this.#readouts.forEach((one, i) => setText(one.value, short(values[i])));
    setText(this.#when, s === undefined ? '' : `${Math.round(this.#now - s)} s ago`);
  }

  #top() {
    if (this.#spec.most) return this.#spec.most;
    const values = [...this.#samples.flatMap((one) => one.values), ...this.#dots.map((dot) => dot.value)];
    return niceCeiling(Math.max(...values.filter(Number.isFinite), this.#spec.least ?? 0));
  }

  #axes({ context, width, height }) {
    const top = this.#top();
    const ticks = [0, top / 2, top].map((value) => ({ value, text: formatNumber(value) }));
    const left = Math.ceil(Math.max(...ticks.map((tick) => context.measureText(tick.text).width))) + 8;
    const [plotWidth, plotHeight] = [width - left - EDGE.right, height - EDGE.top - EDGE.bottom];
    this.#frame = { left, width: plotWidth, top: EDGE.top, height: plotHeight, most: top };
    const [line, faint] = [this.#canvas.colour('--line'), this.#canvas.colour('--faint')];
    context.textAlign = 'right';
    for (const tick of ticks) {
      const y = Math.round(this.#y(tick.value)) + 0.5;
      context.fillStyle = line;
      context.fillRect(left, y - 0.5, this.#frame.width, 1);
      context.fillStyle = faint;
      context.fillText(tick.text, left - 6, y);
    }
    for (const [ago, text, align] of [[SPAN_S, `${SPAN_S / 60} min ago`, 'left'], [0, 'now', 'right']]) {
      context.textAlign = align;
      context.fillText(text, this.#x(this.#now - ago), height - 6);
    }
  }

  #x = (s) => this.#frame.left + this.#frame.width * (1 - (this.#now - s) / SPAN_S);
  #y = (value) => this.#frame.top + this.#frame.height * (1 - Math.min(value, this.#frame.most) / this.#frame.most);

  #line({ context }, index, colour) {
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 1.5;
    context.lineJoin = 'round';
    context.beginPath();
    let before;
    for (const { s, values } of this.#samples) {
      const value = values[index];
      if (!Number.isFinite(value)) {
        before = undefined;
        continue;
      }
      if (before !== undefined && s - before < BREAK_S) context.lineTo(this.#x(s), this.#y(value));
      else context.moveTo(this.#x(s), this.#y(value));
      before = s;
    }
    context.stroke();
    const last = this.#samples.at(-1);
    if (!Number.isFinite(last?.values[index])) return;
    disc(context, this.#x(last.s), this.#y(last.values[index]), 2.5).fill();
  }

  #rings({ context }) {
    context.strokeStyle = this.#canvas.colour('--own');
    for (const dot of this.#dots) disc(context, this.#x(dot.s), this.#y(dot.value), 3).stroke();
  }

  #cursor({ context }, s) {
    context.fillStyle = this.#canvas.colour('--soft');
    context.fillRect(Math.round(this.#x(s)), this.#frame.top, 1, this.#frame.height);
  }

  #describe() {
    const last = this.#readouts.filter((one) => !one.node.hidden).map((one) => one.node.textContent.trim());
    this.#canvas.node.setAttribute('aria-label', `${this.#spec.title}, ${this.#spec.unit}: ${last.join(', ')}`);
  }
}

/** The one of a list of {s} that is nearest to a time. */
function nearest(list, s) {
  const closer = (best, one) => (Math.abs(best.s - s) <= Math.abs(one.s - s) ? best : one);
  return list.length > 0 ? list.reduce(closer) : undefined;
}

function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  return context;
}
