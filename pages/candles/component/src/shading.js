// Spans of missing bars, shaded behind every pane, each as wide as it is long; dead letters as ticks at its foot.
import { slotAt } from './frame.js'

// [from, to, kind] on the ordinal axis: a slot reaches half a place to either side of its own.
export function spansOf(all) {
  const times = all.columns.time
  const edge = (time, slot) =>
    slot < 0 ? -0.5 : slot - 0.5 + Math.min(1, (time - times[slot]) / all.size.seconds)
  return all.gaps.map(([start, end, , kind]) => [edge(start, slotAt(all, start)), edge(end, slotAt(all, end - 1)), kind])
}

const TICK = 8

export class Shading {
  constructor(shades, dead) {
    Object.assign(this, { shades, dead, spans: [], ticks: [] })
    this.views = [{ zOrder: () => 'bottom', renderer: () => ({ draw: (target) => this.draw(target) }) }]
  }

  attached({ chart, requestUpdate }) {
    this.scale = chart.timeScale()
    this.requestUpdate = requestUpdate
  }

  // `ticks` are the slots of dead letters.
  show(spans, ticks) {
    Object.assign(this, { spans, ticks })
    this.requestUpdate?.()
  }

  paneViews() {
    return this.views
  }

  draw(target) {
    const zero = this.scale.logicalToCoordinate(0)
    if (zero === null) return
    const spacing = this.scale.logicalToCoordinate(1) - zero
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      for (const [from, to, kind] of this.spans) {
        const left = zero + from * spacing
        const width = Math.max(1, (to - from) * spacing)
        if (left > mediaSize.width || left + width < 0) continue
        context.fillStyle = this.shades[kind]
        context.fillRect(left, 0, width, mediaSize.height)
      }
      context.fillStyle = this.dead
      const width = Math.min(5, Math.max(2, spacing * 0.8))
      for (const slot of this.ticks) context.fillRect(zero + slot * spacing - width / 2, mediaSize.height - TICK, width, TICK)
    })
  }
}
