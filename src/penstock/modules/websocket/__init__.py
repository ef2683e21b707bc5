"""WebSockets whose frames are read: the websocket_ directives."""
