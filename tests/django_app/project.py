"""A Django project in a folder: views, a WebSocket by Channels, a static file, and the app `hypercorn.django`."""

from __future__ import annotations

from pathlib import Path

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""
SETTINGS = """
from pathlib import Path
SECRET_KEY = "tests"
DEBUG = True
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = {apps}
ROOT_URLCONF = "shop.urls"
{interface}
STATIC_URL = "static/"
STATICFILES_DIRS = [Path(__file__).parent / "static"]
USE_TZ = True
"""
URLS = """
import os
from django.http import HttpResponse
from django.urls import path

def home(request):
    return HttpResponse(f"{WORD} {type(request).__name__} {request.scheme} {os.getpid()}")

WORD = "first"
urlpatterns = [path("", home)]
"""
ASGI = """
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data)

application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": URLRouter([path("echo", Echo.as_asgi())])}
)
"""
WSGI = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
APPS = ["hypercorn.django", "django.contrib.staticfiles"]
ASGI_SETTING = 'ASGI_APPLICATION = "shop.asgi.application"'
WSGI_SETTING = 'WSGI_APPLICATION = "shop.wsgi.application"'


def make_project(folder: Path, interface: str = ASGI_SETTING, apps: list[str] = APPS) -> Path:
    """Writes the project and returns its manage.py."""
    package = folder / "shop"
    (package / "static").mkdir(parents=True)
    (package / "static" / "hello.css").write_text("body {}\n")
    files = {
        "__init__.py": "",
        "settings.py": SETTINGS.format(apps=apps, interface=interface),
        "urls.py": URLS,
        "asgi.py": ASGI,
        "wsgi.py": WSGI,
    }
    for name, text in files.items():
        (package / name).write_text(text)
    manage = folder / "manage.py"
    manage.write_text(MANAGE)
    return manage
