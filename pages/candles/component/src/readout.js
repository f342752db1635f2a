// What is under the crosshair in one line, and what the colours mean in another. Text only, never markup.
import { barTime, exact, few, priceText, rounded, signed, volumeText } from './text.js'

const DECIMALS = { own: 1, volume: 2 }

// The same text again would be laid out again, at every move of the pointer.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

// Fills a row with parts [label, text, colour], using the elements that are there again.
export function fill(row, parts) {
  while (row.children.length > parts.length) row.lastChild.remove()
  parts.forEach(([label, text, colour], place) => {
    const item = row.children[place] ?? row.appendChild(newItem())
    write(item.firstChild, label)
    write(item.lastChild, text)
    if (item.colour !== colour) item.lastChild.style.color = colour ?? ''
    item.colour = colour
  })
}

function newItem() {
  const item = document.createElement('span')
  item.append(document.createElement('i'), ' ', document.createElement('b'))
  return item
}

function before(all, slot) {
  for (let place = slot - 1; place >= 0; place -= 1) {
    if (Number.isFinite(all.columns.close[place])) return all.columns.close[place]
  }
  return NaN
}

export function barParts(all, slot, facts, ink) {
  const value = (name) => all.columns[name]?.[slot] ?? NaN
  const time = ['', barTime(all.columns.time[slot], all.size)]
  if (!Number.isFinite(value('close'))) {
    const missing = value('missing')
    return [time, ['', missing ? facts.kinds[missing - 1][0] : 'no bar'], ...lineParts(all, slot, facts, ink)]
  }
  const price = (name) => priceText(value(name), facts)
  const volume = () => (facts.adjusted ? few(value('volume')) : volumeText(value('volume'), value('sources')))
  const last = before(all, slot)
  const [since, from] = Number.isFinite(last) ? ['Change', last] : ['From open', value('open')]
  const change = value('close') - from
  const colour = change >= 0 ? ink.up : ink.down
  const parts = [time, ['O', price('open')], ['H', price('high')], ['L', price('low')], ['C', price('close')]]
  const share = from ? ` (${signed((change / Math.abs(from)) * 100, 2)} %)` : ''
  parts.push([since, `${signed(change, facts.most || facts.decimals)}${share}`, colour])
  if (facts.unit) parts.push(['Vol', `${volume()} (${facts.unit})`])
  if (value('expected') > 1 || value('sources') > 1) {
    parts.push(['', `${value('sources').toLocaleString('en-US')} of ${value('expected').toLocaleString('en-US')} source bars`])
  }
  if (value('restated')) {
    parts.push(['', value('sources') === 1 ? 'restated' : `${value('restated')} of them restated`, ink.restated])
  }
  if (facts.adjusted) parts.push(['', facts.adjusted])
  return [...parts, ...lineParts(all, slot, facts, ink)]
}

function lineParts(all, slot, facts, ink) {
  const parts = []
  for (const line of facts.lines) {
    const value = all.columns[line.column]?.[slot]
    if (!Number.isFinite(value)) continue
    const text = line.pane === 'over' && !facts.adjusted ? exact(value, line.decimals) : rounded(value, DECIMALS[line.pane] ?? line.decimals)
    parts.push([line.label, text, ink.lines[line.ink % ink.lines.length]])
  }
  return parts
}

// Where a bar comes from, as one text; nothing where bars stand for several.
export function origin(all, slot, facts) {
  const { extracted, ingestion, edited } = all.columns
  if (!extracted || !Number.isFinite(extracted[slot])) return ''
  const name = all.ingestions[ingestion[slot]]
  const at = new Date(extracted[slot] * 1000).toISOString().slice(0, 19).replace('T', ' ')
  const run = facts.runs[name] ? ` · run ${facts.runs[name]}` : ''
  return `${facts.provider} · extracted ${at} UTC · ingestion ${name}${run}${edited[slot] ? ' · edited dead letter' : ''}`
}

export const spoken = (parts) => parts.map(([label, text]) => (label ? `${label} ${text}` : text)).join(', ')
