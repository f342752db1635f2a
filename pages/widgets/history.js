// One entry of the browser's history for each view: Streamlit makes one for each change of a parameter.
// What only filters a page replaces its entry; another page, or one of these parameters, begins a new one.
const VIEWS = ["entry", "view", "schedule", "edit", "new", "id"];

function isSameView(from, to) {
  return from.pathname === to.pathname
    && VIEWS.every((name) => from.searchParams.get(name) === to.searchParams.get(name));
}

const push = history.pushState.bind(history);
history.pushState = (state, title, address) => {
  const here = new URL(location.href), there = new URL(address ?? "", location.href);
  (isSameView(here, there) ? history.replaceState.bind(history) : push)(state, title, address);
};
