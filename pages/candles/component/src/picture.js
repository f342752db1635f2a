// The drawn chart: panes and series of the library for one set of facts and colours.
import {
  CandlestickSeries, CrosshairMode, HistogramSeries, LineSeries, LineStyle, PriceScaleMode, createChart,
  createSeriesMarkers, createTextWatermark,
} from 'lightweight-charts'
import { slotAt } from './frame.js'
import { Measure } from './measure.js'
import { Shading, spansOf } from './shading.js'
import { barTime, priceText, rounded, short, tickText } from './text.js'
import { withAlpha } from './theme.js'

const MOST_MARKERS = 2_000
const PERCENT = PriceScaleMode.Percentage

export class Picture {
  constructor(element, facts, ink) {
    Object.assign(this, { facts, ink, size: facts.ladder[0] })
    this.chart = createChart(element, this.options())
    this.measure = new Measure()
    this.shadings = []
    this.lines = []
    this.addCandles()
    if (facts.unit) this.addVolume()
    for (const line of facts.lines) this.addLine(line)
    // Of the pane of prices alone, and last: a pane made later would take it over, that of volumes and of RSI too.
    this.candles.priceScale().applyOptions({ mode: this.mode() })
    this.share(element)
    this.markers = createSeriesMarkers(this.candles, [])
    this.candles.attachPrimitive(this.measure)
    for (const pane of this.chart.panes()) {
      const shading = new Shading(facts.kinds.map(([, shade]) => shade), ink.dead)
      pane.attachPrimitive(shading)
      this.shadings.push(shading)
    }
    if (facts.mock) {
      const line = { text: 'SIMULATED DATA', color: withAlpha(ink.faint, 0.28), fontSize: this.narrow(element) ? 26 : 48 }
      createTextWatermark(this.chart.panes()[0], { horzAlign: 'center', vertAlign: 'center', lines: [line] })
    }
  }

  narrow(element) {
    return element.clientWidth < 600
  }

  options() {
    const { ink } = this
    const hair = { color: ink.faint, width: 1, style: LineStyle.Dotted, labelBackgroundColor: ink.faint }
    return {
      autoSize: true,
      layout: {
        background: { color: 'transparent' }, textColor: ink.text, fontFamily: ink.font, fontSize: 12,
        attributionLogo: true, panes: { separatorColor: ink.grid, separatorHoverColor: withAlpha(ink.faint, 0.3) },
      },
      grid: { vertLines: { color: withAlpha(ink.grid, 0.6) }, horzLines: { color: withAlpha(ink.grid, 0.6) } },
      crosshair: { mode: CrosshairMode.Normal, vertLine: hair, horzLine: hair },
      rightPriceScale: { borderColor: ink.grid, scaleMargins: { top: 0.06, bottom: 0.06 }, entireTextOnly: true },
      timeScale: {
        borderColor: ink.grid, timeVisible: true, secondsVisible: false, minBarSpacing: 0.05, rightOffset: 0,
        lockVisibleTimeRangeOnResize: true,
        tickMarkFormatter: (time, kind) => tickText(time, kind, this.size),
      },
      localization: { timeFormatter: (time) => barTime(time, this.size) },
      handleScroll: { vertTouchDrag: false },
    }
  }

  mode() {
    if (this.facts.percent) return PERCENT
    return this.facts.log ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal
  }

  addCandles() {
    const { ink, facts } = this
    this.candles = this.chart.addSeries(CandlestickSeries, {
      upColor: ink.up, downColor: ink.down, wickUpColor: ink.up, wickDownColor: ink.down, borderVisible: false,
      lastValueVisible: false, priceLineVisible: false, priceFormat: priceFormat(facts.decimals, facts.most),
    })
  }

  addVolume() {
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceFormat: { type: 'custom', formatter: short, minMove: 1e-8 }, lastValueVisible: false, priceLineVisible: false,
    }, 1)
  }

  addLine(line) {
    // Percentages count from each line's own first value: an average would leave its prices.
    if (this.facts.percent && line.pane === 'price') return
    const panes = { price: 0, over: 0, volume: 1 }
    const pane = panes[line.pane] ?? this.chart.panes().length - (this.ownPane(line) ? 1 : 0)
    const color = this.ink.lines[line.ink % this.ink.lines.length]
    const own = line.pane === 'own' || line.pane === 'difference' || line.pane === 'volume'
    const shared = {
      color, lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false,
      priceFormat: own ? { type: 'custom', formatter: (value) => rounded(value, 1), minMove: 0.01 } : priceFormat(line.decimals),
    }
    const kind = line.pane === 'difference' ? HistogramSeries : LineSeries
    const dash = line.dashed ? { lineStyle: LineStyle.Dashed } : {}
    const series = this.chart.addSeries(kind, { ...shared, lineWidth: line.pane === 'over' ? 2 : 1, ...dash }, pane)
    if (line.column.startsWith('rsi')) addBounds(series, this.ink)
    this.lines.push({ ...line, series, color, lone: createSeriesMarkers(series, []) })
    this.last = line.pane
  }

  // Whether a line joins the pane of the one before it: several RSI share one.
  ownPane(line) {
    return line.pane === 'own' && this.last === 'own'
  }

  share(element) {
    const panes = this.chart.panes()
    panes.forEach((pane, place) => pane.setStretchFactor(place === 0 ? 100 : place === 1 && this.volume ? 24 : 26))
    element.style.setProperty('--panes', String(panes.length))
  }

  // Draws a window; `ends` says whether its last bar is the series' last.
  show(all, ends) {
    this.size = all.size
    this.candles.setData(candlesOf(all))
    this.lastPrice(all, ends)
    this.volume?.setData(volumesOf(all, withAlpha(this.ink.up, 0.5), withAlpha(this.ink.down, 0.5)))
    for (const line of this.lines) {
      const points = pointsOf(all, line)
      line.series.setData(points)
      line.lone.setMarkers(dotsOf(points, line.color))
    }
    const spans = spansOf(all)
    const dead = [...new Set(all.dead.map((at) => slotAt(all, at)))].filter((slot) => slot >= 0)
    this.shadings.forEach((shading, pane) => shading.show(spans, pane === 0 ? dead : []))
    this.markers.setMarkers(this.marks(all))
  }

  // The last price of the series, wherever the view is; not that of the last bar that happens to be loaded.
  lastPrice({ columns: { open, close } }, ends) {
    if (this.priceLine) this.candles.removePriceLine(this.priceLine)
    const last = ends ? close.findLastIndex(Number.isFinite) : -1
    const color = close[last] >= open[last] ? this.ink.up : this.ink.down
    const line = { price: close[last], color, lineWidth: 1, lineStyle: LineStyle.Dashed, axisLabelVisible: true, title: '' }
    this.priceLine = last < 0 ? null : this.candles.createPriceLine(line)
  }

  marks(all) {
    const { time, restated } = all.columns
    const found = []
    for (let n = 0; n < all.rows && found.length < MOST_MARKERS; n += 1) {
      if (restated[n] > 0) found.push({ time: time[n], position: 'aboveBar', shape: 'arrowDown', color: this.ink.restated, size: 0.7 })
    }
    return found
  }

  close() {
    this.chart.remove()
  }
}

// Ticks of adjusted prices are as short as they can be.
function priceFormat(decimals, most = 0) {
  const formatter = (price) => (most ? priceText(price, { most }) : rounded(price, decimals))
  return { type: 'custom', formatter, minMove: 10 ** -(most || decimals) }
}

function addBounds(series, ink) {
  for (const price of [30, 70]) {
    series.createPriceLine({ price, color: ink.grid, lineStyle: LineStyle.Dashed, lineWidth: 1, axisLabelVisible: false })
  }
}

function candlesOf({ rows, columns: { time, open, high, low, close } }) {
  const items = new Array(rows)
  for (let n = 0; n < rows; n += 1) {
    items[n] = Number.isFinite(close[n])
      ? { time: time[n], open: open[n], high: high[n], low: low[n], close: close[n] } : { time: time[n] }
  }
  return items
}

function volumesOf({ rows, columns: { time, open, close, volume } }, rise, fall) {
  const items = new Array(rows)
  for (let n = 0; n < rows; n += 1) {
    items[n] = Number.isFinite(close[n])
      ? { time: time[n], value: volume[n], color: close[n] >= open[n] ? rise : fall } : { time: time[n] }
  }
  return items
}

// A line is broken where a value is missing. The library joins values across those that are not there, in the colour of
// the value before them: the last one before a break has none.
function pointsOf(all, line) {
  const { time } = all.columns
  const values = all.columns[line.column] ?? []
  const factor = line.factor ?? 1
  return Array.from(time, (at, n) => {
    if (!Number.isFinite(values[n])) return { time: at }
    const point = { time: at, value: values[n] * factor }
    return line.pane === 'difference' || Number.isFinite(values[n + 1]) ? point : { ...point, color: 'transparent' }
  })
}

// A value between two breaks has no line: it is a dot.
function dotsOf(points, color) {
  const isLone = (n) => points[n].color && points[n - 1]?.value === undefined
  const found = []
  for (let n = 0; n < points.length && found.length < MOST_MARKERS; n += 1) {
    if (isLone(n)) {
      found.push({ time: points[n].time, position: 'atPriceMiddle', price: points[n].value, shape: 'circle', color, size: 0.3 })
    }
  }
  return found
}
