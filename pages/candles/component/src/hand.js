// Pointer and keys of a chart. Keys that it uses go no further: the page has arrow keys of its own.
const PAGE = 0.8
const ZOOM = 1.25

export function listen(view) {
  const { plot, measure, closer, clear } = view.at
  const stop = new AbortController()
  const on = (target, name, does, more = {}) => target.addEventListener(name, does, { signal: stop.signal, ...more })
  on(plot, 'pointerdown', () => view.pressed(), { capture: true })
  on(window, 'pointerup', () => view.released())
  on(window, 'pointercancel', () => view.released())
  on(plot, 'wheel', () => view.touched(), { capture: true, passive: true })
  on(plot, 'keydown', (event) => keyed(view, event))
  measuring(view, on)
  on(measure, 'click', () => {
    setMeasuring(view, !view.isMeasuring)
    // The arrow keys of the page would move the range: those of the chart move what is measured.
    if (view.isMeasuring) plot.focus({ preventScroll: true })
  })
  on(clear, 'click', () => view.showMeasure(null))
  on(closer, 'click', () => lookCloser(view))
  view.stopListening = () => stop.abort()
}

export function setMeasuring(view, isOn) {
  view.isMeasuring = isOn
  view.at.measure.setAttribute('aria-pressed', String(isOn))
  view.at.plot.classList.toggle('measuring', isOn)
}

function lookCloser(view) {
  const ends = [view.box.from.logical, view.box.to.logical].sort((a, b) => a - b)
  const { time } = view.all.columns
  const last = ends[1] + 1 < view.all.rows ? time[ends[1] + 1] : time[ends[1]] + view.all.size.seconds
  view.showMeasure(null)
  setMeasuring(view, false)
  view.closer(time[ends[0]], last)
}

// The library listens to mouse and touch: what measures must not reach it.
function measuring(view, on) {
  const { plot } = view.at
  let from = null
  const wants = (event) => view.isMeasuring || event.shiftKey
  const halt = (event) => {
    if (from || wants(event)) event.stopPropagation()
  }
  for (const name of ['mousedown', 'touchstart', 'touchmove']) on(plot, name, halt, { capture: true, passive: true })
  on(plot, 'pointerdown', (event) => {
    if (!wants(event)) return
    from = placed(view, event)
    if (from) plot.setPointerCapture?.(event.pointerId)
  }, { capture: true })
  on(plot, 'pointermove', (event) => {
    const to = from && placed(view, event)
    if (to) view.showMeasure({ from, to })
  }, { capture: true })
  on(window, 'pointerup', () => { from = null })
}

function placed(view, event) {
  const box = view.at.plot.getBoundingClientRect()
  const { chart, candles } = view.picture
  const height = chart.panes()[0].getHeight()
  const y = Math.min(Math.max(event.clientY - box.top, 0), height)
  const logical = chart.timeScale().coordinateToLogical(event.clientX - box.left)
  const price = candles.coordinateToPrice(y)
  if (logical === null || price === null) return null
  return { logical: Math.min(Math.max(Math.round(logical), 0), view.all.rows - 1), price }
}

function keyed(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !view.all?.rows) return
  const act = actions[event.key] ?? actions[event.key.toLowerCase()]
  if (!act) return
  event.preventDefault()
  event.stopPropagation()
  view.touched()
  act(view, event)
}

const actions = {
  ArrowLeft: (view, event) => step(view, event.shiftKey ? -PAGE : 0, -1),
  ArrowRight: (view, event) => step(view, event.shiftKey ? PAGE : 0, 1),
  '+': (view) => zoom(view, 1 / ZOOM),
  '=': (view) => zoom(view, 1 / ZOOM),
  '-': (view) => zoom(view, ZOOM),
  Home: (view) => view.goTo(view.reach()[0]),
  End: (view) => view.goTo(view.reach()[1]),
  g: (view, event) => neighbour(view, !event.shiftKey),
  m: (view) => measureHere(view),
  Enter: (view) => view.box && lookCloser(view),
  Escape: (view) => {
    view.showMeasure(null)
    setMeasuring(view, false)
    view.anchor = null
    view.slot = null
    view.picture.chart.clearCrosshairPosition()
    view.point(null)
  },
}

function step(view, pages, bars) {
  const { from, to } = view.range()
  if (pages) {
    const by = pages * (to - from)
    view.picture.chart.timeScale().setVisibleLogicalRange({ from: from + by, to: to + by })
    return
  }
  if (view.isMeasuring && !view.anchor) measureHere(view)
  view.cross((view.slot ?? Math.min(view.all.rows - 1, Math.floor(to)) - Math.min(bars, 0)) + bars)
  if (view.anchor) view.showMeasure({ from: view.anchor, to: here(view) })
}

function here(view) {
  return { logical: view.slot, price: view.all.columns.close[view.slot] }
}

// Measuring by keys begins at the bar under the crosshair; the arrows move its other end.
function measureHere(view) {
  if (view.slot === undefined || view.slot === null) view.cross(Math.floor(view.range().to))
  if (!Number.isFinite(view.all.columns.close[view.slot])) return
  view.anchor = view.anchor ? null : here(view)
  view.showMeasure(view.anchor && { from: view.anchor, to: view.anchor })
}

function zoom(view, by) {
  const { from, to } = view.range()
  const middle = view.slot >= from && view.slot <= to ? view.slot : (from + to) / 2
  const [left, right] = [middle - (middle - from) * by, middle + (to - middle) * by]
  if (right - left >= 3) view.picture.chart.timeScale().setVisibleLogicalRange({ from: left, to: right })
}

function neighbour(view, forwards) {
  const [from, to] = view.seen()
  const middle = (from + to) / 2
  const away = (to - from) / 50
  const tick = view.margin.neighbour(middle + (forwards ? away : -away), forwards)
  if (tick) view.goTo((tick[0] + tick[1]) / 2, tick)
  else view.speak(forwards ? 'No gap after this.' : 'No gap before this.')
}
