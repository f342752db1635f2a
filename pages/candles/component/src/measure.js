// Measuring: a box from one bar and price to another, and what lies between them in words.
import { timeOf } from './frame.js'
import { duration, rounded, signed } from './text.js'

const LINE = 16
const ROOM = 6

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
  show(box, y, ink, words) {
    Object.assign(this, { box, y, ink, words })
    this.requestUpdate?.()
  }

  draw(target) {
    const { box, y, ink } = this
    if (!box) return
    const [x0, x1] = [box.from, box.to].map((end) => this.scale.logicalToCoordinate(end.logical))
    const [y0, y1] = [box.from, box.to].map((end) => y(end.price))
    if ([x0, x1, y0, y1].some((place) => place === null)) return
    const colour = box.to.price >= box.from.price ? ink.up : ink.down
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      context.globalAlpha = 0.14
      context.fillStyle = colour
      context.fillRect(x0, y0, x1 - x0, y1 - y0)
      context.globalAlpha = 1
      context.strokeStyle = colour
      context.strokeRect(x0, y0, x1 - x0, y1 - y0)
      this.label(context, mediaSize, (x0 + x1) / 2, Math.min(y0, y1), Math.max(y0, y1))
    })
  }

  // Above the box, or below it where there is no room.
  label(context, { width, height }, middle, top, bottom) {
    const { ink, words } = this
    context.font = `12px ${ink.font}`
    const lines = words.split(': ')
    const wide = Math.max(...lines.map((line) => context.measureText(line).width)) + 2 * ROOM
    const high = lines.length * LINE + ROOM
    const left = Math.min(Math.max(2, middle - wide / 2), Math.max(2, width - wide - 2))
    const y = top - high - ROOM > 0 ? top - high - ROOM : Math.min(bottom + ROOM, height - high)
    context.fillStyle = ink.back
    context.fillRect(left, y, wide, high)
    context.strokeStyle = ink.faint
    context.strokeRect(left, y, wide, high)
    context.fillStyle = ink.text
    lines.forEach((line, n) => context.fillText(line, left + ROOM, y + LINE * (n + 1) - 2))
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
