// One chart on the page: what is loaded of the series, what more is asked for, and what the page is told.
import { joined, logicalOf, part, slotAt, timeOf, unpacked } from './frame.js'
import { listen } from './hand.js'
import { Margin } from './margin.js'
import { measured } from './measure.js'
import { Picture } from './picture.js'
import { barParts, fill, origin, spoken, write } from './readout.js'
import { skeleton } from './skeleton.js'
import { inkOf } from './theme.js'

const MOST_SHOWN = 1500
const MOST_LOADED = 7_500
const AHEAD = 1.5
// So many widths are kept on either side: the library takes its bars as a whole, which is what new ones cost.
const BESIDE = 2
const LOOK_MS = 50
const REST_MS = 350

export class View {
  constructor(root) {
    this.at = skeleton(root)
    this.margin = new Margin(this.at.margin, (time, tick) => this.goTo(time, tick))
    this.asking = {}
    this.held = null
    this.ticks = []
    listen(this)
  }

  // -- what the page says

  update(data, tell) {
    this.tell = tell
    const given = unpacked(data)
    const { facts } = given
    const ink = inkOf(this.at.root)
    const shape = JSON.stringify([facts.lines, facts.kinds, facts.unit, facts.log, facts.percent, facts.mock, facts.decimals, facts.most, ink])
    // A range that this chart has told, or showed before, stays as somebody has it under the hand.
    const isOurs = this.facts?.query === facts.query && String(this.told ?? this.facts.shown) === String(facts.shown)
    const isSame = this.facts?.stamp === facts.stamp
    const kept = isOurs && this.all && this.seen()
    if (!isOurs) this.told = null
    facts.runs = { ...this.facts?.runs, ...facts.runs }
    Object.assign(this, { facts, ink, sizes: facts.ladder })
    if (this.shape !== shape) {
      this.picture?.close()
      this.picture = new Picture(this.at.plot, facts, ink)
      this.shape = shape
      this.watch()
    }
    const isLoaded = kept && isSame && this.all.size.name === given.size.name
    if (!isLoaded) this.stopAsking()
    if (!isLoaded || shape !== this.drawnShape) this.load(isLoaded ? this.all : this.prepared(given), kept || null)
    this.drawnShape = shape
    this.legend()
    this.at.root.dataset.drawn = `${this.all.size.name} ${this.all.start} ${this.all.end}`
    if (facts.query !== this.tickedFor || facts.word !== this.said) this.askTicks()
    else this.marginNow()
  }

  prepared(all) {
    if (this.facts.lines.some((line) => line.pane === 'difference')) {
      const over = all.columns['over:0']
      const { factor } = this.facts.lines.find((line) => line.column === 'over:0')
      all.columns.difference = over ? over.map((value, n) => (value * factor / all.columns.close[n] - 1) * 10_000) : undefined
    }
    return all
  }

  // -- what is loaded

  // Draws a window; the times of `kept` stay where they are, else all of it is shown.
  load(all, kept) {
    this.all = all
    this.isQuiet = true
    this.picture.show(all, all.end >= this.facts.extent[1])
    const range = kept ? kept.map((time) => logicalOf(all, time)) : [-0.5, all.rows - 0.5 + Math.min(2, all.rows / 50)]
    this.shift(range[0], range[1])
    this.point(null)
    this.lookSoon()
  }

  range() {
    return this.picture?.chart.timeScale().getVisibleLogicalRange() ?? { from: 0, to: 1 }
  }

  // The library moves at its next frame: until then, what it was told counts for what moves on from there.
  standing() {
    return this.target ?? this.range()
  }

  // The times at the edges of what is seen.
  seen() {
    const { from, to } = this.range()
    return [timeOf(this.all, from), timeOf(this.all, to)]
  }

  prepend(more) {
    const { from, to } = this.standing()
    this.all = this.prepared(joined(more, this.all))
    this.picture.show(this.all, this.all.end >= this.facts.extent[1])
    // While dragging the library counts from the last bar, so nothing moves by itself.
    if (!this.isDragging) this.shift(from + more.rows, to + more.rows)
  }

  append(more) {
    const { from, to } = this.standing()
    this.all = this.prepared(joined(this.all, more))
    this.picture.show(this.all, this.all.end >= this.facts.extent[1])
    this.shift(from, to)
  }

  shift(from, to) {
    this.isQuiet = true
    const target = { from, to }
    this.target = target
    this.picture.chart.timeScale().setVisibleLogicalRange(target)
    this.isQuiet = false
    requestAnimationFrame(() => requestAnimationFrame(() => {
      if (this.target === target) this.target = null
    }))
  }

  trim() {
    if (this.all.rows <= MOST_LOADED) return
    const { from, to } = this.standing()
    const width = to - from
    const first = Math.max(0, Math.floor(from - BESIDE * width))
    const last = Math.min(this.all.rows, Math.ceil(to + BESIDE * width))
    this.all = part(this.all, first, last)
    this.picture.show(this.all, this.all.end >= this.facts.extent[1])
    this.shift(from - first, to - first)
  }

  // -- what more is asked for

  watch() {
    const { chart } = this.picture
    chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.moved())
    chart.subscribeCrosshairMove((event) => this.point(event.point ? Math.round(event.logical) : null))
  }

  moved() {
    if (this.all) this.margin.move(this.seen())
    if (this.isQuiet) return
    this.lookSoon()
    if (this.isTouched) this.restSoon()
  }

  lookSoon() {
    this.looking ??= setTimeout(() => {
      this.looking = null
      this.look()
    }, LOOK_MS)
  }

  look() {
    if (!this.all?.rows) return
    const { from, to } = this.range()
    const width = to - from
    if (!this.isDragging && this.isTouched && this.fits(width) !== this.all.size.name && this.isNews(width)) {
      this.askLevel()
      return
    }
    const [first, last] = this.reach()
    const seconds = Math.max(this.all.size.seconds, (timeOf(this.all, to) - timeOf(this.all, from)) / width)
    const more = Math.ceil(AHEAD * Math.min(width, MOST_SHOWN) * seconds)
    if (from < AHEAD / 2 * width && this.all.start > first) this.ask('before', Math.max(first, this.all.start - more), this.all.start)
    if (this.all.rows - to < AHEAD / 2 * width && this.all.end < last) this.ask('after', this.all.end, Math.min(last, this.all.end + more))
    if (!this.isDragging) this.trim()
  }

  reach() {
    const [first, last] = this.facts.extent
    const [start, end] = this.facts.shown
    return [Math.min(first, start), Math.max(last, end)]
  }

  // The smallest size in which what is seen has few enough bars.
  fits(width) {
    const own = this.all.size.seconds
    const found = this.sizes.find((size) => width * own / size.seconds <= MOST_SHOWN)
    return (found ?? this.sizes.at(-1)).name
  }

  // The server has the last word on sizes: it is not asked the same twice.
  isNews(width) {
    const isNews = Math.abs(width / (this.askedWidth ?? 0) - 1) > 0.03
    this.askedWidth = width
    return isNews
  }

  async askLevel() {
    const [first, last] = this.reach()
    const [from, to] = this.seen()
    const start = Math.max(first, Math.floor(from))
    const end = Math.min(last, Math.ceil(to))
    if (end - start < this.sizes[0].seconds) return
    const found = await this.fetched('level', { start, end })
    if (!found || this.isDragging) return
    this.stopAsking()
    this.load(this.prepared(found), this.seen())
    this.drawn()
  }

  async ask(side, start, end) {
    if (this.asking[side] || end <= start || (side === 'after' && this.held)) return
    const of = this.all
    const found = await this.fetched(side, { start, end, size: this.all.size.name })
    if (!found || found.size.name !== this.all.size.name || !found.rows) {
      if (found && of === this.all) this.all = { ...this.all, [side === 'before' ? 'start' : 'end']: side === 'before' ? start : end }
      return
    }
    if (side === 'before') {
      if (found.end <= this.all.start + this.all.size.seconds) this.prepend(within(found, -Infinity, this.all.columns.time[0]))
    } else if (this.isDragging) this.held = found
    else this.append(within(found, this.all.columns.time[this.all.rows - 1], Infinity))
    this.drawn()
    this.lookSoon()
  }

  async fetched(what, parameters) {
    const stop = new AbortController()
    this.asking[what]?.abort()
    this.asking[what] = stop
    const query = `${this.facts.query}&${new URLSearchParams(parameters)}`
    try {
      const answer = await fetch(new URL(`bars?${query}`, document.baseURI), { signal: stop.signal })
      if (!answer.ok) throw new Error(await answer.text())
      const bytes = new Uint8Array(await answer.arrayBuffer())
      this.say('')
      return unpacked(bytes)
    } catch (error) {
      if (error.name !== 'AbortError') this.say(`More bars could not be loaded: ${error.message}`)
      return null
    } finally {
      if (this.asking[what] === stop) delete this.asking[what]
    }
  }

  stopAsking() {
    for (const stop of Object.values(this.asking)) stop.abort()
    this.asking = {}
    this.held = null
    this.askedWidth = null
  }

  drawn() {
    this.legend()
    this.at.root.dataset.drawn = `${this.all.size.name} ${this.all.start} ${this.all.end}`
    this.at.root.dataset.loads = String(Number(this.at.root.dataset.loads ?? 0) + 1)
  }

  // -- hand and keys

  // Only what a hand did is told: bars of another size have other edges, which nobody came to.
  touched() {
    this.isTouched = true
    this.touches = (this.touches ?? 0) + 1
  }

  pressed() {
    this.isDragging = true
    this.target = null
    this.touched()
  }

  released() {
    if (!this.isDragging) return
    this.isDragging = false
    if (this.held) {
      const { held } = this
      this.held = null
      if (held.size.name === this.all.size.name) this.append(within(held, this.all.columns.time[this.all.rows - 1], Infinity))
    }
    this.lookSoon()
    this.restSoon()
  }

  restSoon() {
    clearTimeout(this.resting)
    this.resting = setTimeout(() => this.rest(), REST_MS)
  }

  // Tells the page what is seen, once the pointer rests.
  rest() {
    if (this.isDragging || !this.all?.rows || this.touches === this.toldTouches) return
    const { from, to } = this.range()
    const first = Math.max(0, Math.ceil(from))
    const last = Math.min(this.all.rows - 1, Math.floor(to))
    if (last < first) return
    const start = this.all.columns.time[first]
    const end = last + 1 < this.all.rows ? this.all.columns.time[last + 1] : this.all.columns.time[last] + this.all.size.seconds
    const shown = [Math.round(start), Math.round(end)]
    if (String(shown) === String(this.told ?? this.facts.shown)) return
    Object.assign(this, { told: shown, toldTouches: this.touches })
    this.tell('shown', shown)
  }

  closer(start, end) {
    this.touched()
    this.shift(logicalOf(this.all, start) - 0.5, logicalOf(this.all, end) - 0.5)
    this.moved()
    this.restSoon()
    this.lookSoon()
  }

  // Brings a time into the middle; one that is not loaded is asked of the page.
  goTo(time, tick) {
    const [from, to] = this.seen()
    const half = (to - from) / 2
    const [first, last] = this.reach()
    const middle = Math.min(Math.max(time, first + half), Math.max(last - half, first + half))
    const span = [Math.max(0, Math.round(middle - half)), Math.round(middle + half)]
    if (tick) this.speak(tick[3])
    if (span[0] >= this.all.start && span[1] <= this.all.end) this.closer(...span)
    else {
      this.told = null
      this.tell('shown', span)
    }
  }

  // -- words

  point(slot) {
    if (!this.all?.rows) return
    const { to } = this.range()
    const place = slot ?? Math.min(this.all.rows - 1, Math.floor(to))
    const shown = Math.min(Math.max(place, 0), this.all.rows - 1)
    fill(this.at.readout, barParts(this.all, shown, this.facts, this.ink))
    this.at.origin.hidden = !this.all.columns.extracted
    write(this.at.origin, origin(this.all, shown, this.facts))
  }

  // The crosshair on a slot by keys: what is there is spoken as well.
  cross(slot) {
    this.slot = Math.min(Math.max(slot, 0), this.all.rows - 1)
    const { from, to } = this.range()
    const width = to - from
    if (this.slot < from || this.slot > to) {
      const left = this.slot < from ? this.slot - width * 0.1 : this.slot - width * 0.9
      this.picture.chart.timeScale().setVisibleLogicalRange({ from: left, to: left + width })
    }
    let priced = this.slot
    while (priced > 0 && !Number.isFinite(this.all.columns.close[priced])) priced -= 1
    const price = this.all.columns.close[priced]
    if (Number.isFinite(price)) {
      this.picture.chart.setCrosshairPosition(price, this.all.columns.time[this.slot], this.picture.candles)
    }
    this.point(this.slot)
    this.speak(spoken(barParts(this.all, this.slot, this.facts, this.ink)))
  }

  speak(words) {
    this.at.live.textContent = words
  }

  say(words) {
    write(this.at.status, words)
  }

  showMeasure(box) {
    this.box = box
    const words = box ? measured(this.all, box, this.facts.most || this.facts.decimals) : ''
    this.picture.measure.show(box, (price) => this.picture.candles.priceToCoordinate(price), this.ink, words)
    this.at.measured.textContent = words
    this.at.closer.hidden = this.at.clear.hidden = !box
  }

  legend() {
    const { facts, ink } = this
    const [from, to] = this.seen()
    const kinds = new Set(this.all.gaps.filter(([start, end]) => start < to && end > from).map(([, , , kind]) => kind))
    const parts = facts.kinds.map(([name, shade], kind) => [name, shade, kind]).filter(([, , kind]) => kinds.has(kind))
    const marks = []
    const { time, restated } = this.all.columns
    if (restated.some((count, n) => count > 0 && time[n] >= from && time[n] <= to)) marks.push(['▼', 'restated', ink.restated])
    if (this.all.dead.some((at) => at >= from && at <= to)) marks.push(['▮', 'dead letter', ink.dead])
    const lines = facts.lines.filter((line) => line.legend && !(facts.percent && line.pane === 'price'))
    const chips = [
      ...parts.map(([name, shade]) => ['■', name, solid(shade)]),
      ...marks,
      ...lines.map((line) => ['━', line.legend, ink.lines[line.ink % ink.lines.length]]),
      ...facts.notes.map((note) => ['', note, '']),
    ]
    const said = JSON.stringify(chips)
    if (said !== this.legendSaid) this.at.legend.replaceChildren(...chips.map((one) => chip(...one)))
    this.legendSaid = said
  }

  async askTicks() {
    const { query, series, word } = this.facts
    if (query !== this.tickedFor) this.ticks = []
    Object.assign(this, { tickedFor: query, said: word })
    this.marginNow()
    try {
      const answer = await fetch(new URL(`bars/ticks?${new URLSearchParams({ series, drawn: word })}`, document.baseURI))
      if (!answer.ok) return
      const { gaps, dead } = await answer.json()
      this.ticks = [
        ...gaps.map(([start, end, candles, kind]) => [start, end, kind]),
        ...dead.map((at) => [at, at + this.sizes[0].seconds, 'dead']),
      ].sort((a, b) => a[0] - b[0])
    } catch {
      return // the margin is an extra: the table of gaps has them too
    }
    this.marginNow()
  }

  marginNow() {
    const named = this.ticks.map(([start, end, kind]) => {
      const what = kind === 'dead' ? 'dead letter' : this.facts.kinds[kind][0]
      const colour = kind === 'dead' ? this.ink.dead : this.ink.kinds?.[kind] ?? solid(this.facts.kinds[kind][1])
      return [start, end, colour, `${what}: ${new Date(start * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`]
    })
    this.margin.show(this.facts.extent, this.seen(), named, this.ink)
    const words = named.length ? `${named.length} gaps and dead letters in the whole series` : 'No gap in the whole series'
    this.at.margin.setAttribute('aria-label', `${words}. G and Shift+G in the chart go to the next and the last one.`)
  }

  close() {
    this.stopAsking()
    clearTimeout(this.resting)
    clearTimeout(this.looking)
    this.stopListening()
    this.margin.close()
    this.picture?.close()
  }
}

function within(all, after, before) {
  const { time } = all.columns
  let from = 0
  let to = all.rows
  while (from < to && time[from] <= after) from += 1
  while (to > from && time[to - 1] >= before) to -= 1
  return part(all, from, to)
}

const solid = (shade) => shade.replace(/rgba\(([^,]+,[^,]+,[^,]+),[^)]+\)/, 'rgb($1)')

function chip(sign, name, colour) {
  const item = document.createElement('span')
  const mark = document.createElement('i')
  mark.textContent = sign
  mark.style.color = colour
  item.append(mark, name)
  return item
}
