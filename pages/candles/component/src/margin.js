// The margin below the chart: the whole series with a tick at each gap and dead letter, and where the view is.
const TICK = 2
const NEAR = 7

export class Margin {
  constructor(canvas, goTo) {
    this.canvas = canvas
    this.goTo = goTo
    this.ticks = []
    canvas.addEventListener('click', (event) => this.clicked(event))
    canvas.addEventListener('mousemove', (event) => this.pointed(event))
  }

  // Ticks are [start, end, colour, words], by time.
  show(extent, view, ticks, ink) {
    Object.assign(this, { extent, view, ticks, ink })
    this.draw()
  }

  move(view) {
    this.view = view
    this.draw()
  }

  place(time) {
    const [first, last] = this.extent
    return ((time - first) / Math.max(1, last - first)) * this.canvas.clientWidth
  }

  draw() {
    if (!this.extent) return
    const { canvas, ink } = this
    const ratio = window.devicePixelRatio || 1
    const [width, height] = [canvas.clientWidth, canvas.clientHeight]
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio)
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio)
    const context = canvas.getContext('2d')
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    context.fillStyle = ink.grid
    context.fillRect(0, height / 2 - 1, width, 2)
    for (const [start, end, colour] of this.ticks) {
      const left = this.place(start)
      context.fillStyle = colour
      context.fillRect(left, 2, Math.max(TICK, this.place(end) - left), height - 4)
    }
    const [from, to] = this.view.map((time) => Math.min(width - 1, Math.max(1, this.place(time))))
    context.strokeStyle = ink.faint
    context.strokeRect(Math.min(from, width - 4) + 0.5, 0.5, Math.max(3, to - from - 1), height - 1)
  }

  near(event) {
    const x = event.offsetX
    const away = ([start, end]) => {
      const [left, right] = [this.place(start), Math.max(this.place(start) + TICK, this.place(end))]
      return x < left ? left - x : Math.max(0, x - right)
    }
    const found = this.ticks.reduce((best, tick) => (!best || away(tick) < away(best) ? tick : best), null)
    return found && away(found) <= NEAR ? found : null
  }

  pointed(event) {
    const tick = this.near(event)
    this.canvas.title = tick ? tick[3] : ''
    this.canvas.style.cursor = 'pointer'
  }

  clicked(event) {
    const tick = this.near(event)
    const [first, last] = this.extent
    const time = first + (event.offsetX / Math.max(1, this.canvas.clientWidth)) * (last - first)
    this.goTo(tick ? (tick[0] + tick[1]) / 2 : time, tick)
  }

  // The next tick after a time, or the last before it.
  neighbour(time, forwards) {
    const found = this.ticks.filter(([start, end]) => (forwards ? start > time : end < time))
    return forwards ? found[0] : found.at(-1)
  }
}
