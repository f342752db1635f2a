// Opens by "/", Ctrl+K or the button of the sidebar, before there is a page too; what was typed is looked for among the
// pages, and by the server in the rest.
const QUIET_MS = 80
const HINT = "Arrows choose, Enter opens, Ctrl+Enter opens a new tab, Esc closes."
const PAGES = ALL_PAGES
const BUTTON = ".ffe-find", APP = "[data-testid=stApp]"
const DRAWN = `${APP}[data-test-connection-state=CONNECTED] [data-testid=stElementContainer]`

const made = (tag, attributes = {}, ...inside) => {
  const one = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value)
  one.append(...inside)
  return one
}

const isTyping = (event) => {
  const at = event.composedPath()[0]
  return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName))
}

// Within the session, as Back and Forward do: the browser loads nothing anew.
const travel = (address) => {
  history.pushState({}, "", address)
  dispatchEvent(new PopStateEvent("popstate"))
}

class Palette {
  constructor() {
    this.input = made("input", {
      type: "text", role: "combobox", "aria-label": "Find a page, series, run or verb", "aria-expanded": "true",
      "aria-controls": "ffe-found", "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false",
      maxlength: "100", placeholder: "A pair, run, page or verb: btc 1h gaps",
    })
    this.list = made("ul", { id: "ffe-found", role: "listbox", "aria-label": "Found" })
    this.status = made("p", { role: "status" }, HINT)
    this.dialog = made("dialog", { class: "ffe-palette", "aria-label": "Find anything" },
      made("style", {}, `STYLE`), this.input, this.list, this.status)
    document.body.append(this.dialog)
    this.input.addEventListener("input", () => this.typed())
    this.dialog.addEventListener("keydown", (event) => this.pressed(event))
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close() })
    document.addEventListener("keydown", (event) => this.called(event), true)
    document.addEventListener("click", (event) => { if (event.target.closest?.(BUTTON)) this.open() })
  }

  called(event) {
    const asked = event.key === "/" ? !isTyping(event) && !event.ctrlKey && !event.metaKey && !event.altKey
      : event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)
    if (!asked || this.dialog.open) return
    event.preventDefault()
    event.stopPropagation()
    this.open()
  }

  open() {
    this.dress()
    this.dialog.showModal()
    this.input.select()
    this.typed()
  }

  // In the colours of the page, if there is one.
  dress() {
    const app = document.querySelector(APP)
    if (!app) return
    const { color, backgroundColor, fontFamily, colorScheme } = getComputedStyle(app)
    this.dialog.style.colorScheme = colorScheme
    const theme = { ink: color, paper: backgroundColor, face: fontFamily }
    for (const [name, value] of Object.entries(theme)) this.dialog.style.setProperty(`--${name}`, value)
  }

  typed() {
    this.onAnswer = null
    this.look()
  }

  look() {
    clearTimeout(this.waiting)
    this.asked = (this.asked ?? 0) + 1
    this.isAsking = true
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean)
    const pages = PAGES
      .filter(([title]) => words.every((word) => title.toLowerCase().includes(word)))
      .map(([title, page]) => ({ label: title, detail: "Page", page, params: {} }))
    this.show(pages)
    this.waiting = setTimeout(() => this.ask(pages, this.asked), QUIET_MS)
  }

  async ask(pages, number) {
    const address = new URL("find", document.baseURI)
    address.searchParams.set("q", this.input.value)
    const answer = await fetch(address).catch(() => null)
    const found = answer?.ok ? await answer.json() : null
    if (number !== this.asked || !this.dialog.open) return
    this.isAsking = false
    this.show([...pages, ...(found ?? [])])
    this.onAnswer?.()
    if (!found) this.status.textContent = answer ? await answer.text() : "The server does not answer; try again."
  }

  show(found) {
    this.found = found
    this.list.replaceChildren(...found.map((one, place) => {
      const item = made("li", { role: "option", id: `ffe-found-${place}` }, made("span", {}, one.label), made("span", {}, one.detail))
      item.addEventListener("click", (event) => this.choose(place, event.ctrlKey || event.metaKey))
      return item
    }))
    this.status.textContent = found.length ? `${found.length} found. ${HINT}` : "Nothing is called that. Try a part of a pair, a run's number or a page."
    this.mark(0)
  }

  mark(place) {
    this.place = Math.max(0, Math.min(place, this.found.length - 1))
    for (const [other, item] of [...this.list.children].entries()) item.setAttribute("aria-selected", String(other === this.place))
    const item = this.list.children[this.place]
    item?.scrollIntoView({ block: "nearest" })
    if (item) this.input.setAttribute("aria-activedescendant", item.id)
    else this.input.removeAttribute("aria-activedescendant")
  }

  pressed(event) {
    event.stopPropagation()  // the page's own keys are not meant
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key]
    if (step) this.mark(this.place + step)
    else if (event.key === "Enter") this.entered(event.ctrlKey || event.metaKey)
    else return
    event.preventDefault()
  }

  // Whoever types and presses Enter at once means what is found, not what was there before.
  entered(apart) {
    const choose = () => this.choose(this.place, apart)
    if (this.isAsking) this.onAnswer = choose
    else choose()
  }

  choose(place, apart) {
    const chosen = this.found[place]
    if (!chosen) return
    const address = new URL(chosen.page === "overview" ? "." : chosen.page, document.baseURI)
    for (const [name, value] of Object.entries(chosen.params)) address.searchParams.set(name, value)
    if (apart) return window.open(address, "_blank", "noopener")
    this.dialog.close()
    this.input.value = ""
    if (document.querySelector(DRAWN)) travel(address)
    else location.assign(address)
  }
}

window.ffePalette = new Palette()
