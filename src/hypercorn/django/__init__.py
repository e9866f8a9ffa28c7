"""An app for Django: `"hypercorn.django"` in INSTALLED_APPS, above `"django.contrib.staticfiles"`.

`manage.py runserver` then serves the project by Hypercorn, over ASGI where the settings name an ASGI_APPLICATION;
`manage.py hypercorn` serves it in production.
"""
