// The page's own arithmetic and parsers, run by page_test.py inside the page: an expression whose value is the list of
// what went wrong.
(async () => {
  const from = (name) => import(`/web/${name}.js`);
  const { SseParser } = await from('sse');
  const { splitBlocks, renderBlock, GrowingText } = await from('markdown');
  const { formatDuration, formatMs, formatNumber, logScale, niceCeiling, percentile } = await from('numbers');
  const { jsonBlock, parseJson, searchCard } = await from('json_view');
  const { Measure } = await from('measure');
  const wrong = [];
  const same = (got, expected, what) => {
    const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
    if (a !== b) wrong.push(`${what}: ${a}, expected ${b}`);
  };

  // Events, in every way of cutting their bytes in three.
  const stream = '\uFEFFdata: a\n\n: comment\ndata:b\r\ndata: ü€😀\r\n\r\nid: 5\rdata\r\revent: x\n\ndata: cut';
  const bytes = new TextEncoder().encode(stream);
  for (let i = 0; i <= bytes.length; ++i) {
    for (let j = i; j <= bytes.length; ++j) {
      const parser = new SseParser();
      const parts = [bytes.slice(0, i), bytes.slice(i, j), bytes.slice(j)];
      same(parts.flatMap((part) => parser.push(part)), ['a', 'b\nü€😀', ''], `events cut at ${i} and ${j}`);
    }
  }

  // Markdown. outerHTML is only read here, never written.
  const html = (text) => splitBlocks(text).map((block) => renderBlock(block).outerHTML).join('');
  same(html('a **b** `c` *d*'), '<p>a <strong>b</strong> <code>c</code> <em>d</em></p>', 'spans');
  same(html('2 * 3 * 4, **open, a*b, `'), '<p>2 * 3 * 4, **open, a*b, `</p>', 'marks that are none');
  same(html('``a`b`` **`x`**'), '<p><code>a`b</code> <strong><code>x</code></strong></p>', 'code in spans');
  same(html('# One\ntext\n\nmore'), '<h3>One</h3><p>text</p><p>more</p>', 'blocks');
  same(html('- a\n- b\n  1. c\n  2. d\n- e'),
       '<ul><li>a</li><li>b<ol><li>c</li><li>d</li></ol></li><li>e</li></ul>', 'lists');
  same(html('text\n- a'), '<p>text</p><ul><li>a</li></ul>', 'a list after text');
  same(html('3. c'), '<ol start="3"><li>c</li></ol>', 'a start');
  same(html('> a\n> b\n\n---'), '<blockquote>a\nb</blockquote><hr>', 'quote and rule');
  same(html('```js\nif (a < b) **x**\n\n# y\n```\nz'),
       '<pre data-language="js" tabindex="0"><code>if (a &lt; b) **x**\n\n# y</code></pre><p>z</p>', 'code');
  same(html('```\nopen'), '<pre tabindex="0"><code>open</code></pre>', 'code under way');
  same(html('<img src=x onerror=alert(1)> [a](javascript:alert(1))'),
       '<p>&lt;img src=x onerror=alert(1)&gt; [a](javascript:alert(1))</p>', 'markup is text');
  const text = '# A\n\n- b\n- c **d**\n\n```\ne\n```\nf';
  const growing = new GrowingText();
  for (let i = 0; i <= text.length; ++i) growing.set(text.slice(0, i));
  same(growing.element.innerHTML, html(text), 'text that grew');
  for (const hostile of ['*', '**a ', '*a ', '`', '`a ', '- ', '> ', '# ', '```\n', '\n', '1. a\n  ']) {
    const start = performance.now();
    html(hostile.repeat(10_000));
    if (performance.now() - start > 3000) wrong.push(`10,000 times ${hostile} took ${performance.now() - start} ms`);
  }

  // JSON.
  const rest = { n: null, o: [], p: { q: [1, { r: true }] } };
  const value = { intent: 'find', types: ['rug'], not: ['red', 'blue'], min: 1050, max: 5000, ...rest };
  same(JSON.parse(jsonBlock(value).textContent), value, 'JSON stays what it was');
  same(searchCard(value).textContent, 'Findwhatrugnotredblueprice10.50 to 50', 'a search answer in words');
  same([searchCard({ intent: 'toString' }), searchCard([]), searchCard(null)], Array(3).fill(undefined), 'no search answers');
  same([parseJson('{"a":'), parseJson('no [')], Array(2).fill(undefined), 'no JSON');

  // Figures.
  same([0.01, 0.73, 12.3, 999.4, 1234, 61_000, 120_000].map(formatMs),
       ['< 0.1 ms', '0.7 ms', '12 ms', '999 ms', '1.23 s', '1 min 1 s', '2 min'], 'times');
  same([0, 0.123, 1.234, 12.34, 1234, 12_345, NaN].map(formatNumber),
       ['0', '0.12', '1.23', '12.3', '1,234', '12.3K', '–'], 'numbers');
  same([59, 61, 3600, 7500, 200_000].map(formatDuration), ['59 s', '1 min', '1 h', '2 h 5 min', '2 days'], 'durations');
  same([0, 0.9, 1, 1.1, 4.1, 99].map(niceCeiling), [1, 1, 1, 2, 6, 100], 'ends of axes');
  same([[[], 0.5], [[3, 1, 2], 0.5], [[3, 1, 2], 0.99]].map((one) => percentile(...one)), [undefined, 2, 3], 'percentiles');
  const scale = logScale(50, 60_000, 59);
  same([scale.value(0), scale.value(59)], [50, 60_000], 'ends of the scale');
  for (let step = 1; step <= 59; ++step) {
    if (scale.value(step) <= scale.value(step - 1)) wrong.push(`step ${step} of the scale stands still`);
    same(scale.step(scale.value(step)), step, 'there and back');
  }
  let now = 0;
  const measure = new Measure(100, () => now);
  for (const [at, thinking] of [[10, true], [12, true], [16, false], [17, false]]) {
    now = at;
    measure.token(thinking);
  }
  now = 20;
  measure.finish();
  same([measure.firstMs, measure.thinkingMs, measure.gapP50, measure.gapP99, measure.totalMs, measure.tokensPerS],
       [10, 6, 2, 4, 20, 200], 'what an answer took');
  return wrong;
})()
