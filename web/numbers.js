// Arithmetic and writing of figures.

/** The nearest-rank percentile of numbers in any order, 0 < p <= 1; undefined of none. */
export function percentile(values, p) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
}

/** Short: 0.12, 1.23, 12.3, 1,234, 12.3k. */
export function formatNumber(value) {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 9_999.5) return value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 });
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString('en', { maximumFractionDigits: digits });
}

/** < 0.1 ms, 0.7 ms, 12 ms, 1.25 s, 2 min 5 s. */
export function formatMs(ms) {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 0.05) return '< 0.1 ms';
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${Number((ms / 1000).toFixed(ms < 9_995 ? 2 : 1))} s`;
  const seconds = Math.round(ms / 1000);
  return seconds % 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds / 60} min`;
}

/** 42 s, 12 min, 3 h 5 min, 4 days. */
export function formatDuration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** `1 token`, `2 tokens`. */
export const count = (number, noun) => `${formatNumber(number)} ${noun}${number === 1 ? '' : 's'}`;

/** The end of an axis: the least of 1, 2, 4, 6, 8 times a power of ten that is no less than `value`. */
export function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 4, 6, 8, 10].find((one) => one * power >= value * (1 - 1e-9));
  return step * power;
}

/** A slider's steps 0 … `steps` as values between `least` and `most`, even in their logarithm, of two digits. */
export function logScale(least, most, steps) {
  const ratio = Math.log(most / least);
  return {
    value: (step) => Number((least * Math.exp((ratio * step) / steps)).toPrecision(2)),
    step: (value) => Math.round((steps * Math.log(value / least)) / ratio),
  };
}
