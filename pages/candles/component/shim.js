// The bundle is fetched once and kept by the browser; its name holds its hash.
const loading = import(new URL("BUNDLE", document.baseURI)).then((bundle) => bundle.draw, () => null)

export default function (component) {
  let end = null
  loading.then((draw) => {
    if (draw) end = draw(component)
    else component.setTriggerValue("failed", true)
  })
  return () => end?.()
}
