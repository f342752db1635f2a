// A grid of cells: one stop of the Tab key, arrows, Home and End move among them, Enter or a click chooses one.
const NARROW = 700, TOUCHED = 16

const made = (tag, text = "", attributes = {}) => {
  const one = document.createElement(tag)
  one.textContent = text
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value)
  return one
}

// One rule a kind, instead of colours at each of thousands of cells.
const colors = (kinds) => made("style", kinds.map(({ fill, edge, ink }, at) =>
  `.kind${at} { --fill: ${fill}; --edge: ${edge}; --ink: ${ink}; }`).join("\n"))

function legend({ kinds, legend: named, empty }) {
  const list = made("ul")
  const add = (name, text, sign) => {
    const item = made("li")
    item.append(made("i", sign, { class: name }), ` ${text}`)
    list.append(item)
  }
  for (const at of named) add(`kind${at}`, kinds[at].said, kinds[at].sign)
  if (empty) add("kindless", empty, "")
  return list
}

// Pixels of the longest name: a table of fixed columns does not look for it.
function nameWidth(place, names) {
  const pen = document.createElement("canvas").getContext("2d")
  pen.font = getComputedStyle(place).font
  return Math.ceil(Math.max(...names.map((name) => pen.measureText(name).width))) + 14
}

function drawn(place, { rows, columns, cells, facts, kinds, heads, least, most, high, empty }) {
  const table = made("table", "", { role: "grid" }), sizes = made("colgroup"), head = made("tr")
  const narrow = innerWidth <= NARROW
  const names = nameWidth(place, rows), label = narrow ? Math.min(names, innerWidth * 0.4) : names
  const column = Math.max(least, narrow ? TOUCHED : 0)
  const all = (each) => label + 2 + columns.length * (each + 2)
  table.style.cssText = `width: 100%; min-width: ${all(column)}px; max-width: ${all(Math.max(most, column))}px`
  sizes.append(made("col"))
  sizes.firstChild.style.width = `${label}px`
  head.append(made("td"), ...heads.map(([text, span]) => made("th", text, { scope: "colgroup", colspan: span, class: span === 1 ? "one" : "" })))
  const models = facts.map(({ kind }) => made("td", kinds[kind].sign, { role: "gridcell", tabindex: "-1", class: `kind${kind}` }))
  const body = made("tbody")
  for (const [at, name] of rows.entries()) {
    const row = made("tr")
    row.style.height = `${high}px`
    row.append(made("th", name, { scope: "row", title: name }))
    for (const [place, fact] of cells[at].entries()) {
      const cell = fact === null ? made("td", "", empty ? { class: "kindless" } : {}) : models[fact].cloneNode(true)
      if (fact !== null) cell.setAttribute("aria-label", `${name}, ${columns[place].name}: ${kinds[facts[fact].kind].said}`)
      row.append(cell)
    }
    body.append(row)
  }
  table.append(sizes, made("thead"), body)
  table.tHead.append(head)
  return table
}

const where = (cell) => [cell.parentElement.sectionRowIndex, cell.cellIndex - 1]
const isCell = (at) => at?.getAttribute?.("role") === "gridcell"

// The next cell that way, over places that have none; with `far` the last one.
function next(table, from, down, right, far) {
  let [row, column] = where(from), found = from
  const all = table.tBodies[0].rows
  while (all[row += down]?.cells[1 + (column += right)] && column >= 0) {
    const cell = all[row].cells[1 + column]
    if (isCell(cell)) {
      found = cell
      if (!far) break
    }
  }
  return found
}

// What is known of a cell, above everything, beside the cell.
function tell(tip, cell, { rows, columns, cells, facts, kinds }) {
  const [row, column] = where(cell), { kind, lines } = facts[cells[row][column]]
  tip.textContent = [`${rows[row]}, ${columns[column].name}`, kinds[kind].said, ...lines].join("\n")
  tip.showPopover()
  const at = cell.getBoundingClientRect(), own = tip.getBoundingClientRect()
  const below = at.bottom + 6 + own.height < innerHeight
  tip.style.left = `${Math.max(4, Math.min(at.left, innerWidth - own.width - 4))}px`
  tip.style.top = `${Math.max(4, below ? at.bottom + 6 : at.top - own.height - 6)}px`
}

const MOVES = {
  ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], Home: [0, -1, true], End: [0, 1, true],
}

function listen(table, tip, data, send) {
  const hide = () => tip.hidePopover()
  const choose = (cell) => {
    const [row, column] = where(cell)
    send({ row: data.rows[row], column: data.columns[column].key })
  }
  table.onclick = ({ target }) => isCell(target) && choose(target)
  table.onpointerover = ({ target }) => (isCell(target) ? tell(tip, target, data) : hide())
  table.onpointerleave = hide
  table.addEventListener("focusout", hide)
  table.addEventListener("focusin", ({ target }) => {
    if (!isCell(target)) return
    const former = table.querySelector("[tabindex='0']")
    if (former) former.tabIndex = -1
    target.tabIndex = 0
    if (target.matches(":focus-visible")) tell(tip, target, data)
  })
  table.onkeydown = (event) => {
    const move = MOVES[event.key]
    if (event.key === "Escape") hide()
    if (!isCell(event.target) || (!move && event.key !== "Enter" && event.key !== " ")) return
    event.preventDefault()
    event.stopPropagation()
    if (move) next(table, event.target, ...move).focus()
    else choose(event.target)
  }
}

function redrawn(place, data, send) {
  const name = (cell) => cell?.getAttribute("aria-label").replace(/:[^:]*$/, "")
  const focused = name(place.querySelector("td:focus")), scrolled = place.querySelector(".scroller")
  const table = drawn(place, data), scroller = made("div", "", { class: "scroller" }), frame = made("div", "", { class: "frame" })
  const tip = made("div", "", { class: "facts", popover: "manual", "aria-hidden": "true" })
  scroller.append(table)
  frame.append(scroller)
  listen(table, tip, data, send)
  const left = scrolled?.scrollLeft ?? 0, top = scrolled?.scrollTop ?? 0
  place.replaceChildren(colors(data.kinds), legend(data), frame, tip)
  scroller.scrollTo(left, top)
  scroller.onscroll = () => tip.hidePopover()
  const again = focused && [...table.querySelectorAll("[role=gridcell]")].find((cell) => name(cell) === focused)
  const first = again || table.querySelector("[role=gridcell]")
  if (first) first.tabIndex = 0
  if (again) again.focus()
}

function marked(place, { rows, columns }, chosen) {
  place.querySelector("[aria-selected]")?.removeAttribute("aria-selected")
  const row = chosen ? rows.indexOf(chosen[0]) : -1, column = columns.findIndex(({ key }) => key === chosen?.[1])
  const cell = place.querySelector("tbody").rows[row]?.cells[column + 1]
  if (column >= 0 && isCell(cell)) cell.setAttribute("aria-selected", "true")
}

export default function (component) {
  const place = component.parentElement.querySelector(".squares"), [table, chosen] = component.data
  const said = JSON.stringify(table)
  if (place.said !== said) redrawn(place, table, (what) => component.setTriggerValue("chosen", what))
  place.said = said
  marked(place, table, chosen)
}
