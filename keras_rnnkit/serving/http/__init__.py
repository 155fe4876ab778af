"""The HTTP side: routes and handlers, wire formats, WebSockets, the description of the interface."""
