// The elements of a chart. Everything in them is text.
const KEYS = 'Keys: arrows move from bar to bar, with Shift by a page; plus and minus zoom; Home and End go to the first '
  + 'and the last bar; G and Shift+G to the next and the last gap; M measures; Escape ends.'

function made(tag, className, attributes = {}, text = '') {
  const element = document.createElement(tag)
  element.className = className
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.textContent = text
  return element
}

export function skeleton(root) {
  const at = {
    root,
    readout: made('div', 'readout', { 'aria-hidden': 'true' }),
    origin: made('div', 'origin', { 'aria-hidden': 'true' }),
    legend: made('div', 'legend'),
    plot: made('div', 'plot', { tabindex: '0', role: 'application', 'aria-label': `Chart. ${KEYS}` }),
    margin: made('canvas', 'margin', { role: 'img' }),
    measure: made('button', 'tool', { type: 'button', 'aria-pressed': 'false', title: 'Measure: drag over the chart (Shift and drag at any time, M by keys)' }, 'Measure'),
    measured: made('span', 'measured'),
    closer: made('button', 'tool', { type: 'button' }, 'Look closer'),
    clear: made('button', 'tool', { type: 'button' }, 'Clear'),
    status: made('span', 'status', { role: 'status' }),
    live: made('div', 'live', { 'aria-live': 'polite' }),
  }
  at.closer.hidden = at.clear.hidden = true
  const notice = made('span', 'notice', {}, 'TradingView Lightweight Charts™ © 2025 ')
  const link = made('a', '', { href: 'https://www.tradingview.com/', target: '_blank', rel: 'noopener noreferrer' }, 'TradingView, Inc.')
  notice.append(link)
  const foot = made('div', 'foot')
  foot.append(at.measure, at.measured, at.closer, at.clear, at.status, notice)
  root.replaceChildren(at.readout, at.origin, at.legend, at.plot, at.margin, foot, at.live)
  return at
}
