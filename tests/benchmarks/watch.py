"""When is something there in a browser, by the browser's own clock?

Whoever asks from outside asks every half a second at last, and gets an answer when the page has time. So a script in
the page notes when it last changed, and the end of the first frame that shows what is looked for.
"""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.browser.driver import Server, Visitor

_QUIET_MS = 400
"""A page that has not changed for so long has been drawn; parts of one that watch something change every second."""
_PATIENCE_MS = 60_000
_WATCH = """(() => {
    const roots = [document], attach = Element.prototype.attachShadow;
    // Nobody sees what a table says inside its canvas to who hears the page, written later, nor what a chart notes of
    // the bars that it has loaded beside those it shows.
    const isSeen = change => !(change.target.nodeType === 1 && change.target.closest('canvas'))
        && change.attributeName !== 'data-drawn' && change.attributeName !== 'data-loads';
    const seen = new MutationObserver(changes => { if (changes.some(isSeen)) window.timed.last = performance.now() });
    const watch = root => seen.observe(root, {subtree: true, childList: true, attributes: true, characterData: true});
    window.timed = {from: 0, last: 0, shown: 0, wanted: null};
    Element.prototype.attachShadow = function (options) {
        const root = attach.call(this, options);
        roots.push(root);
        watch(root);
        return root;
    };
    watch(document);
    const look = () => {
        const wanted = window.timed.wanted;
        // After the frame: what a library draws is drawn in it.
        if (wanted && roots.some(root => root.querySelector(wanted))) {
            window.timed.wanted = null;
            setTimeout(() => { window.timed.shown = performance.now() });
        }
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})()"""
_DRAWN = """quiet => {
    const app = document.querySelector('[data-testid=stApp]');
    return app?.dataset.testScriptState === 'notRunning' && app.dataset.testConnectionState === 'CONNECTED'
        && !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner], [data-stale=true]')
        && performance.now() - Math.max(timed.last, timed.from) > quiet;
}"""


def watched(browser: Browser, server: Server) -> Visitor:
    """A visitor with a fresh profile, whose pages are watched."""
    visitor = Visitor(browser, server.base)
    visitor.page.add_init_script(_WATCH)
    return visitor


def first_shown(browser: Browser, server: Server, page: str, wanted: str) -> float:
    """Milliseconds from asking for a page to the frame that first shows what a CSS selector finds."""
    visitor = watched(browser, server)
    visitor.page.add_init_script(f"window.timed.wanted = {wanted!r}")
    visitor.page.goto(server.base + page, wait_until="commit")
    visitor.page.wait_for_function("timed.shown", timeout=_PATIENCE_MS, polling=50)
    took = float(visitor.page.evaluate("timed.shown"))
    visitor.close()
    return took


def drawn(browser: Browser, server: Server, page: str) -> float:
    """Milliseconds from asking for a page to its last change before it is at rest."""
    visitor = watched(browser, server)
    visitor.page.goto(server.base + page, wait_until="commit")
    took = until_drawn(visitor)
    visitor.close()
    return took


def until_drawn(visitor: Visitor) -> float:
    """Milliseconds from `timed.from`, or else from when the page was asked for, to its last change."""
    visitor.page.wait_for_function(_DRAWN, arg=_QUIET_MS, timeout=_PATIENCE_MS, polling=50)
    return float(visitor.page.evaluate("timed.last - timed.from"))
