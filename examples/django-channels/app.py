"""A whole project of Django Channels in one file."""

import django
from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"], SECRET_KEY="for this example alone", DEBUG=False
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402  after the setup


class Echo(WebsocketConsumer):
    """Answers with what it gets."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"Host is {request.get_host()}\n")


urlpatterns = [path("", page)]
sockets = URLRouter([path("ws/echo/", Echo.as_asgi())])
application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": AllowedHostsOriginValidator(sockets)})
