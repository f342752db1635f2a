"""The console's pages: what Streamlit runs, one folder or file a page; imports of ffe_core only go down."""
