// One entry of the browser's history for each view: Streamlit makes one for each change of a parameter.
// What only filters a page replaces its entry; another page, or one of these parameters, begins a new one.
const VIEWS = ["entry", "view", "schedule", "edit", "new", "id"];
// Parameters that name one thing to look at on a page, as `_OF_ONE_LOOK` of url.py; beside a form's, all are its own.
const OF_ONE_LOOK = ["entry", "record", "place", "rows", "schedule"], OF_A_FORM = ["edit", "new"];
const IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]';
const SETTLED_MS = 200;

function isSameView(from, to) {
  return from.pathname === to.pathname
    && VIEWS.every((name) => from.searchParams.get(name) === to.searchParams.get(name));
}

// The address at which the page came to rest last: what Back is to lead to.
function watchRest() {
  let rest = location.href, timer;
  const look = () => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (document.querySelector(IDLE)) rest = location.href; }, SETTLED_MS);
  };
  // The body is not there yet when this runs.
  const attributeFilter = ["data-test-script-state"];
  new MutationObserver(look).observe(document.documentElement, { subtree: true, attributeFilter });
  look();
  return () => rest;
}

const push = history.pushState.bind(history), replace = history.replaceState.bind(history);
const rest = watchRest();
history.pushState = (state, title, address) => {
  const here = new URL(location.href), there = new URL(address ?? "", location.href);
  if (isSameView(here, there)) return replace(state, title, address);
  // The parameters of the next page come before its path, and would stay in the entry of the one that is left.
  const left = new URL(rest());
  if (left.pathname === here.pathname && here.search === there.search) replace(history.state, "", left.href);
  return push(state, title, address);
};

// The name of the page that one is on leads to its list: Streamlit would draw the same form or record again.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('[data-testid="stSidebarNavLink"]');
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const list = new URL(location.href);
  const given = [...list.searchParams], isForm = OF_A_FORM.some((name) => list.searchParams.has(name));
  const isOfOneLook = ([name, text]) => OF_ONE_LOOK.includes(name) || (name === "view" && text === "mend");
  const kept = isForm ? [] : given.filter((one) => !isOfOneLook(one));
  if (new URL(link.href).pathname !== list.pathname || kept.length === given.length) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  list.search = new URLSearchParams(kept);
  push(history.state, "", list.href);
  dispatchEvent(new PopStateEvent("popstate", { state: history.state }));
}, true);
