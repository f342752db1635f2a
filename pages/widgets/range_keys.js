// A range of the chart that was clicked would keep the arrow keys for itself; whoever came to it by the keyboard wants
// that.
document.addEventListener("pointerup", (event) => {
  if (event.target.closest?.(".st-key-candles_preset")) setTimeout(() => document.activeElement?.blur(), 50);
}, true);
