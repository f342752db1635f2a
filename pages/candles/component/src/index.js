// Entry: Streamlit calls `draw` for every new set of data, with the same element.
import { View } from './view.js'

const views = new WeakMap()

export function draw({ data, parentElement, setTriggerValue }) {
  let view = views.get(parentElement)
  if (!view) {
    view = new View(parentElement.querySelector('.chart'))
    views.set(parentElement, view)
  }
  view.update(data, setTriggerValue)
  return () => {
    views.delete(parentElement)
    view.close()
  }
}
