// Numbers and times for people. Prices and volumes are whole; times are UTC.
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const DAY = 86_400
const WEEK = 7 * DAY
const MOST_DECIMALS = 20

const two = (number) => String(number).padStart(2, '0')

function decimalsOf(value) {
  const [digits, power = 0] = String(value).split('e')
  const point = digits.indexOf('.')
  return Math.max(0, (point < 0 ? 0 : digits.length - point - 1) - power)
}

function apart(value, decimals) {
  const [whole, rest] = Math.abs(value).toFixed(Math.min(decimals, MOST_DECIMALS)).split('.')
  const sign = value < 0 ? '−' : ''
  return sign + whole.replace(/\B(?=(\d{3})+$)/g, ',') + (rest ? `.${rest}` : '')
}

// A price rounded to so many decimals, for axes; and whole, with more where it has more.
export const rounded = (value, decimals) => apart(value, decimals)
export function exact(value, decimals = 0) {
  if (!Number.isFinite(value)) return '–'
  const own = decimalsOf(value)
  if (Math.abs(value) >= 1e16 || own > MOST_DECIMALS) return String(value)
  return apart(value, Math.max(decimals, own))
}

// A sum of several volumes without the noise of its last digits.
export const volumeText = (value, sources) => exact(sources > 1 ? Number(value.toPrecision(15)) : value)

// A price of a chart: whole, or rounded where it was adjusted, as the last digits of what is worked out are noise.
export const priceText = (value, { decimals, most }) => exact(most ? Number(value.toFixed(most)) : value, decimals)

// Two decimals at most, for a volume that was worked out.
export const few = (value) => exact(Number(value.toFixed(2)))

export function short(value) {
  for (const [size, letter] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (Math.abs(value) >= size) return `${apart(value / size, 1)}${letter}`
  }
  return exact(Number(value.toPrecision(3)))
}

export const signed = (value, decimals) => (value > 0 ? '+' : '') + rounded(value, decimals)

const dayText = (at) => `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`

// What a bar stands for: a time, a day and its name, a week by its Monday, a month, a quarter, a year.
export function barTime(seconds, size) {
  const at = new Date(seconds * 1000)
  const year = at.getUTCFullYear()
  if (size.name === '1y') return String(year)
  if (size.name === '3M') return `${year} Q${at.getUTCMonth() / 3 + 1}`
  if (size.name === '1M') return `${MONTHS[at.getUTCMonth()]} ${year}`
  const day = `${DAYS[at.getUTCDay()]} ${dayText(at)}`
  if (size.seconds === WEEK) return `Week of ${day}`
  return size.seconds < DAY ? `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())} UTC` : day
}

// A tick of the time axis; `kind` as the library counts them: year, month, day, time.
export function tickText(seconds, kind, size) {
  const at = new Date(seconds * 1000)
  if (kind === 0) return String(at.getUTCFullYear())
  if (kind === 1) return MONTHS[at.getUTCMonth()]
  const day = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`
  if (kind === 2) return size.seconds === WEEK ? `${DAYS[at.getUTCDay()]} ${day}` : day
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`
}

export function duration(seconds) {
  const parts = [[DAY, 'd'], [3600, 'h'], [60, 'min']]
  let rest = Math.abs(seconds)
  const said = []
  for (const [size, letter] of parts) {
    const count = Math.floor(rest / size)
    if (count) said.push(`${count.toLocaleString('en-US')} ${letter}`)
    rest -= count * size
  }
  return said.slice(0, 2).join(' ') || '0 min'
}
