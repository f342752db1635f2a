// Colours of the console's theme, which a canvas has to be told.
export function inkOf(element) {
  const style = getComputedStyle(element)
  const read = (name, otherwise) => style.getPropertyValue(`--st-${name}`).trim() || otherwise
  return {
    text: read('text-color', '#17202a'),
    back: read('background-color', '#ffffff'),
    grid: read('border-color', '#dfe4ea'),
    faint: read('gray-color', '#5d6975'),
    up: read('green-color', '#1c7c44'),
    down: read('red-color', '#c62f35'),
    restated: read('violet-color', '#6f42c1'),
    dead: read('orange-color', '#b85f00'),
    accent: read('primary-color', '#1f5fbf'),
    font: read('font', 'sans-serif'),
    lines: ['blue', 'orange', 'violet', 'yellow', 'green', 'red'].map((name) => read(`${name}-color`, '#1f5fbf')),
  }
}

export function withAlpha(colour, alpha) {
  const hex = /^#([0-9a-f]{6})$/i.exec(colour)
  if (hex) return `#${hex[1]}${Math.round(alpha * 255).toString(16).padStart(2, '0')}`
  const rgb = /^rgba?\(([^)]+)\)$/i.exec(colour)
  if (rgb) return `rgba(${rgb[1].split(/[,\s/]+/).slice(0, 3).join(',')},${alpha})`
  return colour
}
