"""Settings: what each one is, where it comes from, whether providers and the webhook answer, and the quota left."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from ffe_core.errors import CredentialsMissing, InputError, sentence
from ffe_core.operations.runs.preview import quota_left
from ffe_core.operations.settings.connection import Connection, Verdict, check_connection, opened
from ffe_core.operations.settings.explained import Setting, explained
from ffe_core.providers import PROVIDERS
from ffe_core.providers.base import Provider
from ffe_core.storage.lake.upkeep.disk import size_text, space_left
from pages.widgets import actor, arrived, from_url, keep_in_url, many, notes, number, plain, section, service
from pages.widgets.alerts import alert
from pages.widgets.fields import words_fit
from pages.widgets.frame import heading
from pages.widgets.tables import height_of, show_table
from pages.widgets.verbs import done, refusable, told

_LOOKS: dict[Verdict, tuple[str, str]] = {
    Verdict.WORKS: ("green", ":material/check_circle:"),
    Verdict.CLOCK_OFF: ("orange", ":material/schedule:"),
    Verdict.NO_KEY: ("orange", ":material/key_off:"),
    Verdict.WRONG_KEY: ("red", ":material/key_off:"),
    Verdict.WRONG_ENVIRONMENT: ("red", ":material/swap_horiz:"),
    Verdict.NO_NETWORK: ("red", ":material/wifi_off:"),
    Verdict.BUSY: ("orange", ":material/hourglass_top:"),
    Verdict.QUOTA: ("orange", ":material/data_usage:"),
    Verdict.REFUSED: ("red", ":material/error:"),
}
_LONGEST = 60


def providers() -> None:
    """One line a provider: its key, its quota, and what a test came to."""
    st.subheader("Providers", anchor=False)
    keys = {one.section: one.value for one in explained(service().settings) if one.is_secret}
    for name in PROVIDERS:
        found: Connection | None = st.session_state.get("settings_tests", {}).get(name)
        with st.container(border=True):
            missing = line_of(name, keys)
            if found is not None:
                tell(found)
            elif missing:
                st.text(f"{missing}, and restart the console.")


def line_of(name: str, keys: Mapping[str, str]) -> str | None:
    """A provider in one line, with its test; what keeps it from being asked, if something does: a missing key is no
    error until somebody needs it."""
    provider = opened(service().settings, name)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(name)}**", width=120)
        if isinstance(provider, InputError):
            st.badge("key missing" if provider.code == CredentialsMissing.code else "key cannot be", color="orange")
        else:
            st.badge(plain(f"key {keys[name]}" if name in keys else "needs no key"), color="gray")
            st.caption(plain(limits(provider)))
        st.space("stretch")
        icon = ":material/network_check:"
        st.button("Test connection", key=f"settings_test_{name}", icon=icon, on_click=test, args=(name,))
    return sentence(provider) if isinstance(provider, InputError) else None


def limits(provider: Provider) -> str:
    """The pace and the quota of a provider, and what is known to be left of it."""
    rate, left = provider.requests_per_second, quota_left(provider, service().runs)
    pace = f"{rate:g} requests a second" if rate else "no limit"
    if left is None:
        return pace
    quota = many(provider.requests_per_day or 0, "request")
    return f"{pace} · {number(left)} of {quota} left today, as far as runs since 00:00 UTC tell"


@refusable()
def test(name: str) -> None:
    found = check_connection(service().settings, service().audit, name, actor())
    st.session_state.settings_tests = {**st.session_state.get("settings_tests", {}), name: found}


def tell(found: Connection) -> None:
    color, icon = _LOOKS[found.verdict]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(plain(found.verdict), icon=icon, color=color)  # type: ignore[arg-type]
        st.text(f"{found.said} ({found.seconds:.1f} s)" if found.seconds >= 0.05 else found.said)


def webhook() -> None:
    st.subheader("Webhook", anchor=False)
    address = service().notices.address
    with st.container(border=True), st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"Messages of the scheduler go to {address}." if address else "No webhook is set: FFE_WEBHOOK__URL.")
        st.space("stretch")
        st.button(
            "Send a test message",
            key="settings_webhook",
            icon=":material/send:",
            on_click=send_test,
            disabled=not address or not service().acts,
        )


@refusable()
def send_test() -> None:
    service().require_lead()
    service().notices.send_test(actor())
    done("The test message was taken.")


def disk() -> None:
    st.subheader("Disk", anchor=False)
    with st.container(border=True), st.container(horizontal=True, vertical_alignment="center"):
        folder = service().settings.data_dir
        left = space_left(str(folder))
        st.text(f"{size_text(left)} left for {folder}" if left is not None else "The room left cannot be told.")
        st.space("stretch")
        st.page_link("storage/page.py", label="Sizes of the tables", icon=":material/database:")


def every_setting() -> None:
    st.subheader("All settings", anchor=False)
    if arrived("settings_find"):
        st.session_state.settings_find = from_url("q", short, "")
    changed = [one.variable for one in explained(service().settings) if one.is_stale]
    if changed:
        sentence = "Changed since this console started; restart it to use the new value of"
        alert("warning", sentence, changed, ":material/restart_alt:")
    fits = words_fit("Find", "settings_find", _LONGEST, "oanda", placeholder="Part of a name or its meaning")
    text = st.session_state.settings_find.strip()
    keep_in_url(q=text if fits else None)
    if not fits:
        return
    wanted = text.lower()
    found = [one for one in explained(service().settings) if wanted in f"{one.variable} {one.meaning}".lower()]
    if not found:
        st.info("No setting has that in its name or meaning.", icon=":material/search_off:")
        return
    show_table(
        [row(one) for one in found],
        height=height_of(len(found), 15),
        column_config={
            "Setting": st.column_config.TextColumn(width=275),
            "Value": st.column_config.TextColumn(width=150),
            "From": st.column_config.TextColumn(width=90),
            "Meaning": st.column_config.TextColumn(width="large"),
        },
    )
    st.caption(
        "A setting comes from a variable of the environment, else from .streamlit/secrets.toml, else it is the default."
        " They are read when the console starts: change them there and restart it."
    )


def short(text: str) -> str:
    if len(text) > _LONGEST:
        raise InputError(f"use at most {_LONGEST} characters")
    return text


def row(one: Setting) -> dict[str, str]:
    return {
        "Setting": one.variable,
        "Value": one.value or "–",
        "From": str(one.source),
        "Meaning": one.meaning,
    }


heading("Settings")
notes()
told()
for name, draw in (
    ("The providers", providers),
    ("The webhook", webhook),
    ("The disk", disk),
    ("The settings", every_setting),
):
    with section(name):
        draw()
