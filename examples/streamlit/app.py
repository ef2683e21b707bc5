"""A slider."""

import streamlit as st

st.title("Behind Penstock")
st.write("twice that is", 2 * st.slider("a number", 0, 50, 21))
