"""The Overview. Streamlit compiles a script again for the first of its visitors, in memory that it does not give back;
what every visitor comes to first is therefore a module."""

from pages.overview.content import show

show()
