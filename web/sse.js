// Server-sent events, from bytes cut anywhere (WHATWG HTML, 9.2.6): line ends of all three kinds, comments,
// data over several lines, characters of several bytes.

export class SseParser {
  #decoder = new TextDecoder();
  #rest = '';
  #data = [];
  #afterReturn = false;

  /** Takes a Uint8Array; gives the data of the events that are complete by now. */
  push(bytes) {
    return this.#read(this.#decoder.decode(bytes, { stream: true }));
  }

  #read(text) {
    const events = [];
    this.#rest += text;
    for (let line = this.#line(); line !== undefined; line = this.#line()) {
      if (line !== '') this.#field(line);
      else if (this.#data.length > 0) events.push(this.#data.splice(0).join('\n'));
    }
    return events;
  }

  /** The next whole line without its end. A \n that follows a \r, even one of the last push, belongs to it. */
  #line() {
    if (this.#afterReturn && this.#rest.startsWith('\n')) this.#rest = this.#rest.slice(1);
    if (this.#rest !== '') this.#afterReturn = false;
    const end = this.#rest.search(/[\r\n]/);
    if (end < 0) return undefined;
    const line = this.#rest.slice(0, end);
    this.#afterReturn = this.#rest[end] === '\r';
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  #field(line) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    if (name !== 'data') return;
    const value = colon < 0 ? '' : line.slice(colon + 1);
    this.#data.push(value.startsWith(' ') ? value.slice(1) : value);
  }
}
