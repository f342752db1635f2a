// Measuring: a box from one bar and price to another, and what lies between them in words.
import { timeOf } from './frame.js'
import { duration, rounded, signed } from './text.js'

export class Measure {
  constructor() {
    this.box = null
    this.views = [{ zOrder: () => 'top', renderer: () => ({ draw: (target) => this.draw(target) }) }]
  }

  attached({ chart, requestUpdate }) {
    this.scale = chart.timeScale()
    this.requestUpdate = requestUpdate
  }

  paneViews() {
    return this.views
  }

  // `box` is {from: {logical, price}, to: {logical, price}} or null; `y` turns a price into a place.
  show(box, y, ink) {
    Object.assign(this, { box, y, ink })
    this.requestUpdate?.()
  }

  draw(target) {
    const { box, y, ink } = this
    if (!box) return
    const [x0, x1] = [box.from, box.to].map((end) => this.scale.logicalToCoordinate(end.logical))
    const [y0, y1] = [box.from, box.to].map((end) => y(end.price))
    if ([x0, x1, y0, y1].some((place) => place === null)) return
    const colour = box.to.price >= box.from.price ? ink.up : ink.down
    target.useMediaCoordinateSpace(({ context }) => {
      context.globalAlpha = 0.14
      context.fillStyle = colour
      context.fillRect(x0, y0, x1 - x0, y1 - y0)
      context.globalAlpha = 1
      context.strokeStyle = colour
      context.strokeRect(x0, y0, x1 - x0, y1 - y0)
    })
  }
}

export function measured(all, box, decimals) {
  const change = box.to.price - box.from.price
  const share = box.from.price ? `${signed((change / Math.abs(box.from.price)) * 100, 2)} %` : '–'
  const bars = Math.abs(box.to.logical - box.from.logical)
  const seconds = timeOf(all, box.to.logical) - timeOf(all, box.from.logical)
  const ends = `${rounded(box.from.price, decimals)} → ${rounded(box.to.price, decimals)}`
  return `${ends}: ${signed(change, decimals)} (${share}) · ${bars} bar${bars === 1 ? '' : 's'} · ${duration(seconds)}`
}
