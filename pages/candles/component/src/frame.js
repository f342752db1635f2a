// A window of bars as the server packs it: length of the head, head as JSON, columns of float64.
export function unpacked(bytes) {
  // A copy begins at a multiple of eight, which the bytes of a message need not.
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  const length = new DataView(buffer).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)))
  const columns = {}
  head.columns.forEach((name, place) => {
    columns[name] = new Float64Array(buffer, 4 + length + place * head.rows * 8, head.rows)
  })
  return { ...head, columns }
}

// What two neighbouring windows are together; the earlier one first.
export function joined(before, after) {
  const columns = {}
  for (const name of Object.keys(after.columns)) {
    const own = before.columns[name] ?? new Float64Array(before.rows).fill(NaN)
    columns[name] = new Float64Array(before.rows + after.rows)
    columns[name].set(own)
    columns[name].set(after.columns[name], before.rows)
  }
  // Each window counts its own ingestions.
  if (columns.ingestion) columns.ingestion.forEach((place, n) => { if (n >= before.rows) columns.ingestion[n] = place + before.ingestions.length })
  return {
    ...after,
    start: before.start,
    end: after.end,
    rows: before.rows + after.rows,
    columns,
    gaps: [...before.gaps, ...after.gaps],
    dead: [...before.dead, ...after.dead],
    ingestions: [...before.ingestions, ...after.ingestions],
  }
}

// The slots from one place to another, and what lies in them.
export function part(all, from, to) {
  const columns = {}
  for (const [name, column] of Object.entries(all.columns)) columns[name] = column.slice(from, to)
  const start = from > 0 ? columns.time[0] : all.start
  const end = to < all.rows ? all.columns.time[to] : all.end
  return {
    ...all,
    start,
    end,
    rows: to - from,
    columns,
    gaps: all.gaps.filter(([first, last]) => first < end && last > start),
    dead: all.dead.filter((at) => at >= start && at < end),
  }
}

// The last slot that opens at or before a time; -1 before the first.
export function slotAt(all, time) {
  const times = all.columns.time
  let low = 0
  let high = all.rows
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle] <= time) low = middle + 1
    else high = middle
  }
  return low - 1
}

// A time on the ordinal axis, which goes on evenly beyond the slots, and back.
export function logicalOf(all, time) {
  const times = all.columns.time
  const size = all.size.seconds
  if (!all.rows) return 0
  if (time < times[0]) return (time - times[0]) / size
  const place = slotAt(all, time)
  const next = place + 1 < all.rows ? times[place + 1] : times[place] + size
  if (place === all.rows - 1) return place + (time - times[place]) / size
  return place + (time - times[place]) / (next - times[place])
}

export function timeOf(all, logical) {
  const times = all.columns.time
  const size = all.size.seconds
  if (!all.rows) return 0
  if (logical < 0) return times[0] + logical * size
  if (logical >= all.rows - 1) return times[all.rows - 1] + (logical - all.rows + 1) * size
  const place = Math.floor(logical)
  return times[place] + (logical - place) * (times[place + 1] - times[place])
}
