// A table of buttons: one stop of the Tab key, arrows move among them, Enter opens the run.
const made = (tag, text = "", attributes = {}) => {
  const one = document.createElement(tag)
  one.textContent = text
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value)
  return one
}

function square(run, name, [state, sign, color], component) {
  const said = `${name}, run ${run}: ${state}`
  const button = made("button", sign, { type: "button", "aria-label": said, title: said, tabindex: "-1" })
  button.style.setProperty("--own", `var(--st-${color}-color)`)
  button.onclick = () => component.setTriggerValue("chosen", run)
  return button
}

function drawn(component) {
  const { runs, series } = component.data
  const table = made("table"), head = made("tr")
  head.append(made("td"), ...runs.map((run) => made("th", String(run), { scope: "col" })))
  table.append(made("thead"), made("tbody"))
  table.tHead.append(head)
  for (const { name, cells } of series) {
    const row = made("tr")
    row.append(made("th", name, { scope: "row" }))
    for (const [place, cell] of cells.entries()) {
      const at = made("td")
      if (cell) at.append(square(runs[place], name, cell, component))
      row.append(at)
    }
    table.tBodies[0].append(row)
  }
  return table
}

// The next square that way, over cells that have none.
function next(table, from, down, right) {
  const rows = [...table.tBodies[0].rows]
  let row = from.closest("tr").sectionRowIndex, column = from.closest("td").cellIndex
  while (rows[row += down]?.cells[column += right]) {
    const found = rows[row].cells[column].querySelector("button")
    if (found) return found
  }
  return from
}

export default function (component) {
  const place = component.parentElement.querySelector(".grid")
  const said = JSON.stringify(component.data)
  if (place.said === said) return
  place.said = said
  const focused = place.querySelector("button:focus")?.getAttribute("aria-label").replace(/:.*/, "")
  const table = drawn(component)
  place.replaceChildren(table)
  const all = [...table.querySelectorAll("button")]
  const again = focused && all.find((one) => one.getAttribute("aria-label").startsWith(`${focused}:`))
  const first = again ?? all[0]
  if (first) first.tabIndex = 0
  again?.focus()
  table.onkeydown = (event) => {
    const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? []
    if (down === undefined) return
    event.preventDefault()
    event.stopPropagation()
    const to = next(table, event.target, down, right)
    event.target.tabIndex = -1
    to.tabIndex = 0
    to.focus()
  }
}
