"""Candles: chart a stored series over a range."""

import streamlit as st

st.title("Candles")
