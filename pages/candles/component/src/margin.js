// The margin below the chart: the whole series with a tick at each gap and dead letter, and where the view is.
const TICK = 2
const NEAR = 7

export class Margin {
  constructor(canvas, goTo) {
    this.canvas = canvas
    this.goTo = goTo
    this.ticks = []
    this.resized = new ResizeObserver(() => this.measured())
    this.resized.observe(canvas)
    canvas.addEventListener('click', (event) => this.clicked(event))
    canvas.addEventListener('mousemove', (event) => this.pointed(event))
  }

  // Ticks are [start, end, colour, words], by time.
  show(extent, view, ticks, ink) {
    Object.assign(this, { extent, view, ticks, ink, ground: null })
    this.draw()
  }

  move(view) {
    this.view = view
    this.draw()
  }

  place(time) {
    const [first, last] = this.extent
    return ((time - first) / Math.max(1, last - first)) * this.width
  }

  // At every frame of a move: the ticks, which stay where they are, are drawn once.
  draw() {
    if (!this.extent || !this.width) return
    const { canvas, ink, width, height, ratio } = this
    this.ground ??= this.drawnGround()
    const context = canvas.getContext('2d')
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, canvas.width, canvas.height)
    context.drawImage(this.ground, 0, 0)
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    const [from, to] = this.view.map((time) => Math.min(width - 1, Math.max(1, this.place(time))))
    context.strokeStyle = ink.faint
    context.strokeRect(Math.min(from, width - 4) + 0.5, 0.5, Math.max(3, to - from - 1), height - 1)
  }

  drawnGround() {
    const { ink, width, height, ratio } = this
    const ground = new OffscreenCanvas(this.canvas.width, this.canvas.height)
    const context = ground.getContext('2d')
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.fillStyle = ink.grid
    context.fillRect(0, height / 2 - 1, width, 2)
    for (const [start, end, colour] of this.ticks) {
      const left = this.place(start)
      context.fillStyle = colour
      context.fillRect(left, 2, Math.max(TICK, this.place(end) - left), height - 4)
    }
    return ground
  }

  // Asked of the page only when it changes: in the middle of a frame the answer costs a layout.
  measured() {
    const { canvas } = this
    const ratio = window.devicePixelRatio || 1
    const [width, height] = [canvas.clientWidth, canvas.clientHeight]
    if (width === this.width && height === this.height && ratio === this.ratio) return
    Object.assign(this, { width, height, ratio, ground: null })
    canvas.width = Math.max(1, Math.round(width * ratio))
    canvas.height = Math.max(1, Math.round(height * ratio))
    this.draw()
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
    const time = first + (event.offsetX / Math.max(1, this.width)) * (last - first)
    this.goTo(tick ? (tick[0] + tick[1]) / 2 : time, tick)
  }

  // The next tick after a time, or the last before it.
  neighbour(time, forwards) {
    const found = this.ticks.filter(([start, end]) => (forwards ? start > time : end < time))
    return forwards ? found[0] : found.at(-1)
  }

  close() {
    this.resized.disconnect()
  }
}
