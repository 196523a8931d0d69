// The live figures: what /stats tells each second while the page is seen, and what this page measured itself.
import { stats as fetchStats } from './api.js';
import { byId, el, setText } from './dom.js';
import { HeatMap } from './heat_map.js';
import { LinePlot, SPAN_S } from './line_plot.js';
import { formatDuration, formatNumber } from './numbers.js';

const EVERY_MS = 1000;
const TIMEOUT_MS = 5000;
const REFUSED_MS = 10_000;

const pair = (key) => [{ label: 'p50', colour: '--p50', read: (stats) => stats[key]?.p50 },
                       { label: 'p99', colour: '--p99', read: (stats) => stats[key]?.p99 }];
const value = (key, label, colour) => ({ label, colour, read: (stats) => stats[key] });

const PLOTS = [
  { title: 'First token', unit: 'ms', series: pair('ttft_ms'), dots: (answer) => answer.measure.firstMs },
  { title: 'Token gaps', unit: 'ms', series: pair('itl_ms'), dots: (answer) => answer.measure.gapP99 },
  {
    title: 'Queue', unit: 'requests', least: 2,
    series: [value('running', 'running', '--p50'), value('waiting', 'waiting', '--p99')],
  },
  {
    title: 'On time', unit: '% of the last minute', most: 100,
    series: [{ label: '', colour: '--good', read: onTimeShare }],
    dots: (answer) => (answer.onTime === undefined ? undefined : answer.onTime ? 100 : 0),
  },
  { title: 'Memory read', unit: 'GB/s', series: [value('gbps', '', '--p50')] },
  {
    title: 'Speed', unit: 'tokens/s',
    series: [value('tokens_per_s', 'out', '--p50'), value('prompt_tokens_per_s', 'in', '--p99')],
  },
  { title: 'Wait in the queue', unit: 'ms', series: pair('queue_ms') },
  { title: 'A step', unit: 'ms', series: pair('step_ms') },
];

/** Of the deadlines that ended in the minute before sample `i`. */
function onTimeShare(stats, samples, i) {
  if (!stats.deadlines) return undefined;
  const before = samples.find((one) => samples[i].s - one.s <= 60)?.stats.deadlines;
  const onTime = stats.deadlines.on_time - before?.on_time;
  const ended = onTime + stats.deadlines.late - before?.late;
  return ended > 0 ? (100 * onTime) / ended : null;
}

export class Live {
  #settings;
  #meetModel;
  #plots = PLOTS.map((spec) => new LinePlot(spec));
  #heat = new HeatMap();
  #glance = el('dl', { class: 'glance', hidden: true });
  #stages = el('dl', { class: 'stages' });
  #router = el('p', { class: 'readouts' });
  #stageCard = el(
    'section',
    { class: 'plot-card wide', hidden: true },
    el('h3', {}, 'Where the time goes ', el('small', {}, 'µs a token')),
    this.#router,
    this.#stages,
  );
  #samples = [];
  #answers = [];
  #met = false;      // the server told its model since it was last away
  #missing = false;  // it has no /stats
  #refusedKey;       // the key that it did not take
  #notBefore = 0;

  /** `meetModel()` is called until it succeeds, and again after the server was away. */
  constructor(settings, meetModel) {
    this.#settings = settings;
    this.#meetModel = meetModel;
    const plots = this.#plots.map((plot) => plot.element);
    plots.splice(6, 0, this.#heat.element);
    byId('live-hint').before(this.#glance, ...plots, this.#stageCard);
  }

  /** Looks each second while the page is seen. */
  async start() {
    for (;;) {
      if (!document.hidden && !this.#mustWait()) await this.#look();
      await new Promise((done) => setTimeout(done, EVERY_MS));
    }
  }

  addAnswer(answer) {
    this.#answers.push({ s: performance.now() / 1000, answer });
    this.draw();
  }

  /** A server that refused is not asked again each second, and one that wants a key not before there is another. */
  #mustWait() {
    return this.#refusedKey === this.#settings.key || performance.now() < this.#notBefore;
  }

  async #look() {
    try {
      if (!this.#met) await this.#meetModel();
      if (!this.#met) this.#say('ok', '');
      this.#met = true;
      if (!this.#missing) this.#add(await fetchStats(this.#settings.key, AbortSignal.timeout(TIMEOUT_MS)));
      this.#refusedKey = undefined;
    } catch (failure) {
      this.#refused(failure);
    }
    this.draw();
  }

  #refused({ status }) {
    if (status === 404) this.#missing = true;
    else if (status === 401) {
      this.#refusedKey = this.#settings.key;
      this.#settings.showKey();
    } else if (status > 0) this.#notBefore = performance.now() + REFUSED_MS;
    else {
      this.#met = false;
      this.#say('away', 'not reachable');
    }
  }

  #add(stats) {
    if (stats === null || typeof stats !== 'object') return;
    this.#samples.push({ s: performance.now() / 1000, stats });
    this.#say(stats.running > 0 ? 'busy' : 'ok', stats.running > 0 ? `${stats.running} running` : '');
  }

  #say(state, text) {
    byId('pulse').dataset.state = state;
    setText(byId('pulse'), text);
  }

  draw() {
    const now = performance.now() / 1000;
    this.#samples = this.#samples.filter((one) => now - one.s <= SPAN_S);
    this.#answers = this.#answers.filter((one) => now - one.s <= SPAN_S);
    for (const plot of this.#plots) plot.update(this.#samples, this.#answers, now);
    const last = this.#samples.at(-1)?.stats ?? {};
    this.#heat.update(last.experts);
    this.#drawGlance(last);
    this.#drawStages(last);
    byId('live-yours').hidden = this.#answers.length === 0;
    byId('live-hint').hidden = this.#plots.some((plot) => !plot.element.hidden);
  }

  #drawGlance({ running, parallel, deadlines, cache_usage: cache, uptime_s: uptime }) {
    const facts = [
      ['running', Number.isFinite(running) && (Number.isFinite(parallel) ? `${running} of ${parallel}` : `${running}`)],
      ['cache', Number.isFinite(cache) && `${formatNumber(cache * 100)}%`],
      ['promised', Number.isFinite(deadlines?.promised) && formatNumber(deadlines.promised)],
      ['late', Number.isFinite(deadlines?.late) && formatNumber(deadlines.late)],
      ['refused', Number.isFinite(deadlines?.refused) && formatNumber(deadlines.refused)],
      ['up', Number.isFinite(uptime) && formatDuration(uptime)],
    ].filter(([, text]) => text);
    this.#glance.hidden = facts.length === 0;
    this.#glance.replaceChildren(...facts.map(([name, text]) => el('div', {}, el('dt', {}, name), el('dd', {}, text))));
  }

  #drawStages({ stages_us: stages, router_share: router }) {
    const rows = Object.entries(stages ?? {}).filter(([, us]) => Number.isFinite(us) && us >= 0);
    const most = Math.max(...rows.map(([, us]) => us), 1e-9);
    this.#stageCard.hidden = rows.length === 0 && !Number.isFinite(router);
    setText(this.#router, Number.isFinite(router) ? `routing: ${formatNumber(router * 100)}%` : '');
    this.#stages.replaceChildren(...rows.map(([name, us]) => {
      const bar = el('i', { class: 'bar-of' });
      bar.style.width = `${(100 * us) / most}%`;
      return el('div', {}, el('dt', {}, name.replaceAll('_', ' ')), el('dd', {}, bar, el('b', {}, formatNumber(us))));
    }));
  }
}
