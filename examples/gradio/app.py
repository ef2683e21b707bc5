"""A greeting."""

import sys

import gradio

gradio.Interface(lambda name: f"Hello, {name}", "text", "text", api_name="greet").launch(
    server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True
)
