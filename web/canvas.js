// A canvas that is as sharp as the screen and knows the theme's colours.
import { el } from './dom.js';

export class Canvas {
  #resized;
  #observer = new ResizeObserver(() => this.#resized());

  /** `resized()` draws it anew; `pointed({x, y} | null)`: where a pointer is, in CSS pixels. */
  constructor(className, resized, pointed) {
    this.node = el('canvas', {
      class: className,
      role: 'img',
      pointermove: (event) => pointed({ x: event.offsetX, y: event.offsetY }),
      pointerdown: (event) => pointed({ x: event.offsetX, y: event.offsetY }),
      pointerleave: () => pointed(null),
      pointercancel: () => pointed(null),
    });
    this.#resized = resized;
    this.#observer.observe(this.node);
  }

  /** An empty drawing: {context, width, height} in CSS pixels; null while it has no size. */
  begin() {
    const { clientWidth: width, clientHeight: height } = this.node;
    if (width === 0 || height === 0) return null;
    const sharp = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * sharp), Math.round(height * sharp)];
    if (this.node.width !== w || this.node.height !== h) Object.assign(this.node, { width: w, height: h });
    const context = this.node.getContext('2d');
    context.setTransform(w / width, 0, 0, h / height, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `10.5px ${getComputedStyle(this.node).fontFamily}`;
    context.textBaseline = 'middle';
    return { context, width, height };
  }

  /** The value of a colour of the style sheet, e.g. '--ink', as the theme has it now. */
  colour(name) {
    this.node.style.color = `var(${name})`;
    return getComputedStyle(this.node).color;
  }
}
